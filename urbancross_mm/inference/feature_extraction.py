"""Running frozen encoders once over everything that a recipe will read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.utils.data import DataLoader

from urbancross_mm.apis.retrieval_inferencer import RetrievalInferencer, test_pipeline_of
from urbancross_mm.inference.config import LOADERS, nested_dicts
from urbancross_mm.inference.image_files import PictureFiles, collate_pictures
from urbancross_mm.registry import DATASETS
from urbancross_mm.utils.file_stamp import FileStamp, same_image
from urbancross_mm.utils.progress import track
from urbancross_mm.version import __version__


def extract_features(
    cfg: Config,
    out: str | Path,
    weights: str | Path | None = None,
    device: str | None = None,
    batch_size: int = 32,
    num_workers: int = 0,
) -> dict[str, int]:
    """Write what the encoders of a recipe see in its pictures and captions, before projection.

    Every picture of the training, validation and test annotations goes through the test pipeline
    once, every distinct caption through its tokenizer. ``LoadFeatures`` and ``FeatureTokenizer``
    read the file.

    Args:
        cfg (Config): A recipe whose model has ``image_encoder`` and ``text_encoder``.
        out (str | Path): The ``.npz`` file.
        weights (str | Path, optional): A checkpoint of the recipe. Defaults to None: the
            pretrained weights that the recipe names.
        device (str, optional): Defaults to the GPU if there is one.
        batch_size (int): Pictures, and captions, a forward pass. Defaults to 32.
        num_workers (int): Processes that read pictures. Defaults to 0.

    Returns:
        dict[str, int]: ``images`` and ``texts``, how many, ``image_width`` and ``text_width``.

    Raises:
        FileNotFoundError: If annotations, pictures or weights are missing.
        ValueError: If a picture cannot be read, or the model has other parts.
    """
    # Imported here: the data sets come with the recipe's custom_imports.
    from urbancross_mm.datasets.caption_lengths import remark_on_cut
    from urbancross_mm.datasets.feature_file import write_features

    inferencer = RetrievalInferencer(cfg, weights, device, batch_size, num_workers)
    image_encoder, text_encoder = _encoders(inferencer.model)
    pictures, captions = recipe_items(cfg)
    if remark := remark_on_cut(captions, inferencer.tokenizer, 'captions'):
        print(remark)
    image_feats, stamps = _encode_pictures(inferencer, image_encoder, list(pictures.values()))
    text_feats = _encode_texts(inferencer, text_encoder, captions)
    metadata = dict(
        config=Path(cfg.filename or '').name,
        weights=_hash(image_encoder, text_encoder),
        checkpoint=Path(weights).name if weights else None,
        version=__version__,
        pipeline=test_pipeline_of(cfg),
    )
    write_features(out, list(pictures), image_feats, captions, text_feats, metadata, stamps)
    return dict(
        images=len(pictures),
        texts=len(captions),
        image_width=image_feats.shape[1],
        text_width=text_feats.shape[1],
    )


def recipe_items(cfg: Config) -> tuple[dict[str, str], list[str]]:
    """Collect the pictures and captions of all annotation files that a recipe names.

    Args:
        cfg (Config): A recipe.

    Returns:
        tuple[dict[str, str], list[str]]: Paths by ``img_id``, and distinct captions.

    Raises:
        FileNotFoundError: If annotations or pictures are missing.
        ValueError: If the recipe names no annotation file, or two pictures share an id.
    """
    pictures: dict[str, str] = {}
    captions: dict[str, None] = {}
    for settings in _annotated(cfg):
        dataset = DATASETS.build(dict(settings, pipeline=[], lazy_init=False))
        for place in range(len(dataset)):
            info = dataset.get_data_info(place)
            path = pictures.setdefault(info['img_id'], info['img_path'])
            if not same_image(path, info['img_path']):
                raise ValueError(
                    f'two pictures have the id {info["img_id"]!r}: {path} and {info["img_path"]}'
                )
            captions.update(dict.fromkeys(info['captions']))
        # The sentences of an unlabelled target belong to no picture.
        captions.update(dict.fromkeys(getattr(dataset, 'pool', ())))
    if not pictures:
        raise ValueError(f'the config {cfg.filename} names no annotation file')
    return pictures, list(captions)


def _annotated(cfg: Config) -> Iterator[dict[str, Any]]:
    """Settings of the data sets that read an annotation file, each file once."""
    seen = set()
    for node in nested_dicts([cfg.get(loader) for loader in LOADERS]):
        key = (node.get('data_root', ''), node.get('ann_file'), node.get('text_file'))
        if 'ann_file' in node and key not in seen:
            seen.add(key)
            # Whole files: neither a part of one, nor a fold.
            yield {name: value for name, value in node.items() if name != 'indices'}


def _encoders(model: nn.Module) -> tuple[nn.Module, nn.Module]:
    model = getattr(model, 'retriever', model)
    image_encoder, text_encoder = (
        getattr(model, name, None) for name in ('image_encoder', 'text_encoder')
    )
    if image_encoder is None or text_encoder is None:
        raise ValueError(
            f'features come from a model with image_encoder and text_encoder, which '
            f'{type(model).__name__} has not'
        )
    return image_encoder, text_encoder


def _before_projection(encoder: nn.Module) -> Callable[[Tensor], Tensor]:
    return getattr(encoder, 'pooled', encoder)


@torch.no_grad()
def _encode_pictures(
    inferencer: RetrievalInferencer, encoder: nn.Module, paths: list[str]
) -> tuple[np.ndarray, list[FileStamp]]:
    loader = DataLoader(
        PictureFiles(paths, inferencer.pipeline, skip_bad=False),
        inferencer.batch_size,
        num_workers=inferencer.num_workers,
        collate_fn=collate_pictures,
    )
    encode, rows, stamps = _before_projection(encoder), [], []
    for _, found, batch in track(loader, 'encode pictures', len(loader), 'batch'):
        inputs = inferencer.model.data_preprocessor(batch, False)['inputs']
        rows.append(encode(inputs['image']).float().cpu())
        stamps += found
    return torch.cat(rows).numpy(), stamps


@torch.no_grad()
def _encode_texts(
    inferencer: RetrievalInferencer, encoder: nn.Module, texts: list[str]
) -> np.ndarray:
    # Of like length together: an encoder may cut the padding that all rows of a batch share.
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    starts = range(0, len(texts), inferencer.batch_size)
    encode, rows = _before_projection(encoder), []
    for start in track(starts, 'encode captions', unit='batch'):
        some = [texts[place] for place in order[start : start + inferencer.batch_size]]
        batch = dict(inputs=dict(text=[inferencer.tokenizer(some)]))
        inputs = inferencer.model.data_preprocessor(batch, False)['inputs']
        rows.append(encode(inputs['text']).float().cpu())
    return torch.cat(rows)[torch.tensor(order).argsort()].numpy()


def _hash(*encoders: nn.Module) -> str:
    """Hash of the weights that the features come from: not of the projections."""
    digest = hashlib.blake2b(digest_size=16)
    for encoder in encoders:
        for name, value in sorted(encoder.state_dict().items()):
            if not name.startswith('projection.'):
                digest.update(name.encode())
                digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
