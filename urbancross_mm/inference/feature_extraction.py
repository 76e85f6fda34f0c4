"""Running frozen encoders once over everything that a config will read."""

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
from urbancross_mm.inference.image_files import ImageFiles, collate_images
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
    """Write what the encoders of a config see in its images and captions, before projection.

    Every image of the training, validation and test annotations goes through the test pipeline
    once, every distinct caption through its tokenizer. ``LoadFeatures`` and ``FeatureTokenizer``
    read the file.

    Args:
        cfg (Config): A config whose model has ``image_encoder`` and ``text_encoder``.
        out (str | Path): The ``.npz`` file.
        weights (str | Path, optional): A checkpoint of the config. Defaults to None: the
            pretrained weights that the config names.
        device (str, optional): Defaults to the GPU if there is one.
        batch_size (int): Images, and captions, a forward pass. Defaults to 32.
        num_workers (int): Processes that read images. Defaults to 0.

    Returns:
        dict[str, int]: ``images`` and ``texts``, how many, ``image_width`` and ``text_width``.

    Raises:
        FileNotFoundError: If annotations, images or weights are missing.
        ValueError: If an image cannot be read, or the model has other parts.
    """
    # Imported here: the datasets come with the config's custom_imports.
    from urbancross_mm.datasets.caption_lengths import remark_on_cut
    from urbancross_mm.datasets.feature_file import write_features

    inferencer = RetrievalInferencer(cfg, weights, device, batch_size, num_workers)
    image_encoder, text_encoder = _encoders(inferencer.model)
    images, captions = config_items(cfg)
    if remark := remark_on_cut(captions, inferencer.tokenizer, 'captions'):
        print(remark)
    image_feats, stamps = _encode_images(inferencer, image_encoder, list(images.values()))
    text_feats = _encode_texts(inferencer, text_encoder, captions)
    metadata = dict(
        config=Path(cfg.filename or '').name,
        weights=_hash(image_encoder, text_encoder),
        checkpoint=Path(weights).name if weights else None,
        version=__version__,
        pipeline=test_pipeline_of(cfg),
    )
    write_features(out, list(images), image_feats, captions, text_feats, metadata, stamps)
    return dict(
        images=len(images),
        texts=len(captions),
        image_width=image_feats.shape[1],
        text_width=text_feats.shape[1],
    )


def config_items(cfg: Config) -> tuple[dict[str, str], list[str]]:
    """Collect the images and captions of all annotation files that a config names.

    Args:
        cfg (Config): A config.

    Returns:
        tuple[dict[str, str], list[str]]: Paths by ``img_id``, and distinct captions.

    Raises:
        FileNotFoundError: If annotations or images are missing.
        ValueError: If the config names no annotation file, or two images share an id.
    """
    images: dict[str, str] = {}
    captions: dict[str, None] = {}
    for settings in _annotated(cfg):
        dataset = DATASETS.build(dict(settings, pipeline=[], lazy_init=False))
        for place in range(len(dataset)):
            info = dataset.get_data_info(place)
            path = images.setdefault(info['img_id'], info['img_path'])
            if not same_image(path, info['img_path']):
                raise ValueError(
                    f'two images have the id {info["img_id"]!r}: {path} and {info["img_path"]}'
                )
            captions.update(dict.fromkeys(info['captions']))
        # The sentences of an unlabeled target belong to no image.
        captions.update(dict.fromkeys(getattr(dataset, 'pool', ())))
    if not images:
        raise ValueError(f'the config {cfg.filename} names no annotation file')
    return images, list(captions)


def _annotated(cfg: Config) -> Iterator[dict[str, Any]]:
    """Settings of the datasets that read an annotation file, each file once."""
    seen = set()
    for node in nested_dicts([cfg.get(loader) for loader in LOADERS]):
        key = (node.get('data_root', ''), node.get('ann_file'), node.get('text_file'))
        if 'ann_file' in node and key not in seen:
            seen.add(key)
            # Whole files: neither a part of one, nor a fold.
            yield {name: value for name, value in node.items() if name != 'indices'}


def _encoders(model: nn.Module) -> tuple[nn.Module, nn.Module]:
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
def _encode_images(
    inferencer: RetrievalInferencer, encoder: nn.Module, paths: list[str]
) -> tuple[np.ndarray, list[FileStamp]]:
    loader = DataLoader(
        ImageFiles(paths, inferencer.pipeline, skip_bad=False),
        inferencer.batch_size,
        num_workers=inferencer.num_workers,
        collate_fn=collate_images,
    )
    encode, rows, stamps = _before_projection(encoder), [], []
    for _, found, batch in track(loader, 'encode images', len(loader), 'batch'):
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
