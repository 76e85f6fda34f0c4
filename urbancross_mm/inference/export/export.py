"""Writing a folder that another program can use without this package."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from urbancross_mm.datasets.tokenizers import VocabTokenizer
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.export.graphs import (
    SUFFIXES,
    Tower,
    capture,
    largest_difference,
    write,
)
from urbancross_mm.inference.image_files import load_image
from urbancross_mm.models.encoders.clip_tokenizer import save_clip_tokenizer
from urbancross_mm.utils.files import atomic_write
from urbancross_mm.version import __version__

DESCRIPTION, TOKENIZER = 'model.json', 'tokenizer'
MODALITIES = ('image', 'text')
# Of unit vectors: another program may round otherwise, and no more.
TOLERANCE = 1e-4
_EXAMPLE = 'A road crosses the river near two red roofs.'
_ROWS = 3  # in the comparison


def export_model(
    embedder: Embedder,
    folder: str | Path,
    formats: Sequence[str] = tuple(SUFFIXES),
    modalities: Sequence[str] = MODALITIES,
) -> dict[str, Any]:
    """Write the towers of a model as graphs, beside ``model.json``, which describes them.

    Each graph is read again and compared with the model.

    Args:
        embedder (Embedder): The model, on the CPU.
        folder (str | Path): Is made.
        formats (Sequence[str]): Of ``'onnx'`` and ``'torch'`` (``torch.export``). Defaults to both.
        modalities (Sequence[str]): Of ``'image'`` and ``'text'``. Defaults to both.

    Returns:
        dict: The content of ``model.json``.

    Raises:
        ValueError: If the model has no vector per image, a tower cannot be exported, or a graph
            computes something else.
        ImportError: If a package for ONNX is missing.
    """
    _check_model(embedder.model)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    describe = dict(image=_describe_images, text=_describe_texts)
    content = dict(
        urbancross_mm=__version__,
        torch=torch.__version__.partition('+')[0],
        fingerprint=embedder.fingerprint,
        embed_dim=embedder.model.embed_dim,
    )
    for modality in modalities:
        rows, description = describe[modality](embedder, folder)
        graphs = _export_tower(embedder, modality, rows, folder, formats)
        content[modality] = {**description, **graphs}
    atomic_write(folder / DESCRIPTION, json.dumps(content, indent=2, default=str))
    return content


def _check_model(model: Any) -> None:
    name = type(model).__name__
    if model.score_pairs is not None:
        raise ValueError(
            f'{name} scores each image with each text together: it has no towers to export'
        )
    if getattr(model, 'eval_fusion', 1) != 1:
        raise ValueError(
            f'{name} with eval_fusion={model.eval_fusion} needs the segments of an image, which a '
            'graph does not find: set model.eval_fusion=1'
        )


def _export_tower(
    embedder: Embedder, modality: str, rows: Tensor, folder: Path, formats: Sequence[str]
) -> dict[str, Any]:
    tower = Tower(embedder.model, modality).eval()
    encoder = getattr(embedder.model, f'{modality}_encoder', embedder.model)
    graph = capture(tower, rows[:1], f'the {modality} tower ({type(encoder).__name__})')
    files, differences = {}, {}
    for kind in formats:
        path = folder / f'{modality}{SUFFIXES[kind]}'
        write(graph, path)
        far = largest_difference(tower, path, rows, graph.batch)
        if not far <= TOLERANCE:
            raise ValueError(
                f'{path} computes something else than the model: its unit vectors differ by '
                f'{far:.1e}, more than {TOLERANCE:.0e}'
            )
        files[kind], differences[kind] = path.name, far
    return dict(
        files=files,
        input=modality,
        output=f'{modality}_embeds',
        batch=graph.batch,
        largest_difference=differences,
    )


def _describe_images(embedder: Embedder, folder: Path) -> tuple[Tensor, dict[str, Any]]:
    """Random images as the tower takes them, and how to make such rows of a file."""
    shapes = [(200, 300, 3), (300, 200, 3)]
    sizes = {
        tuple(
            load_image(np.zeros(shape, np.uint8), embedder.pipeline)['inputs']['image'].shape[-2:]
        )
        for shape in shapes
    }
    if len(sizes) > 1:
        raise ValueError(
            f'the test pipeline makes images of several sizes ({sorted(sizes)}), and a graph takes '
            'one: end it with ResizeImage'
        )
    (size,) = sizes
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (_ROWS, 3, *size), generator=generator, dtype=torch.uint8)
    preprocessor = embedder.model.data_preprocessor
    mean, std = (
        (value / 255).flatten().tolist() for value in (preprocessor.mean, preprocessor.std)
    )
    steps = [step for step in embedder.pipeline_cfg if 'tokenizer' not in step]
    return embedder.normalized(list(pixels)), dict(
        size=list(size), channels='RGB', pixels='0 to 1', mean=mean, std=std, pipeline=steps
    )


def _describe_texts(embedder: Embedder, folder: Path) -> tuple[Tensor, dict[str, Any]]:
    """Token ids of some texts, and how to make such rows of a text."""
    # A graph takes one row per text, so a long text is cut: its sentences would be several.
    tokenizer = getattr(embedder.tokenizer, 'inner', embedder.tokenizer)
    rows = tokenizer([_EXAMPLE, 'tree', 'two boats and a field'][:_ROWS])
    return rows, dict(
        context_length=tokenizer.context_length,
        pad_id=tokenizer.pad_id,
        tokenizer=type(tokenizer).__name__,
        tokenizer_folder=TOKENIZER if _save_tokenizer(tokenizer, folder / TOKENIZER) else None,
        example=dict(text=_EXAMPLE, tokens=rows[0].tolist()),
    )


def _save_tokenizer(tokenizer: Any, folder: Path) -> bool:
    """As ``transformers`` and ``tokenizers`` read it; a vocabulary of words as JSON."""
    folder.mkdir(exist_ok=True)
    if isinstance(tokenizer, VocabTokenizer):
        atomic_write(folder / 'vocabulary.json', json.dumps(tokenizer.word2idx))
        return True
    inner: Any = getattr(tokenizer, '_tokenizer', None)
    inner = getattr(inner, 'tokenizer', inner)  # open_clip wraps those of transformers
    if hasattr(inner, 'save_pretrained'):
        inner.save_pretrained(folder)
        return True
    sizes = SimpleNamespace(
        vocab_size=tokenizer.vocab_size, max_position_embeddings=tokenizer.context_length
    )
    if save_clip_tokenizer(folder, sizes):
        return True
    folder.rmdir()
    return False
