"""Class maps from a retriever with a decode head, and what its classes are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from urbancross_mm.inference.config import LOADERS
from urbancross_mm.models.heads.decode_head import rows_of
from urbancross_mm.structures.annotations import read_annotations
from urbancross_mm.structures.class_maps import CLASS_KEYS, IGNORE_INDEX
from urbancross_mm.utils.checkpoints import read_checkpoint
from urbancross_mm.utils.config import nested_dicts


class Legend(NamedTuple):
    """What the classes of a model are called.

    Attributes:
        names (list[str]): In the order of the classes.
        palette (list[tuple[int, int, int]] | None): Their colors; None if nothing says them.
    """

    names: list[str]
    palette: list[tuple[int, int, int]] | None


def decode_head_of(model: Any) -> Any:
    """The part of a retriever that segments.

    Args:
        model (Any): A retriever.

    Returns:
        nn.Module: With ``num_classes``.

    Raises:
        ValueError: If there is none.
    """
    head = getattr(getattr(model, 'pyramid', None), 'decode_head', None)
    if head is None:
        raise ValueError(
            f'this {type(model).__name__} has no decode head, so it gives no class maps: train one '
            'with model.pyramid.decode_head, as configs/sirs/sirs.py does'
        )
    return head


def class_maps(model: Any, image: Tensor, sizes: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """Segment a batch.

    Args:
        model (Any): A retriever with a decode head.
        image (Tensor): Normalized images.
        sizes (Sequence): Height and width of each map.

    Shape:
        - image: ``(N, 3, H, W)``.

    Returns:
        list[np.ndarray]: uint8 maps ``(h, w)``.
    """
    logits = model.pyramid(image).seg_logits
    maps = [model.pyramid.class_map(rows_of(logits, [row]), size) for row, size in enumerate(sizes)]
    return [one[0].to(torch.uint8).cpu().numpy() for one in maps]


def class_shares(class_map: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """How much of an image each class covers.

    Args:
        class_map (np.ndarray): uint8, ``(H, W)``; pixels without a class (255) do not count.
        names (Sequence[str]): Of the classes.

    Returns:
        dict[str, float]: Name to share, 0 to 1, of the classes that occur; the largest first.
    """
    counts = np.bincount(class_map.ravel(), minlength=IGNORE_INDEX)[:IGNORE_INDEX]
    order = [k for k in np.argsort(-counts, kind='stable') if counts[k]]
    return {names[k]: float(counts[k] / counts.sum()) for k in order}


def read_legend(model: Any, checkpoint: str | Path | None, cfg: Config) -> Legend:
    """Find names and colors of the classes.

    They are in the checkpoint, which notes what it was trained on, or else in the datasets of the
    config or their annotation files; else the classes are numbered.

    Args:
        model (Any): A retriever with a decode head.
        checkpoint (str | Path | None): Its file.
        cfg (Config): Its config.

    Returns:
        Legend: Of all classes.

    Raises:
        ValueError: If the model has no decode head.
    """
    count = decode_head_of(model).num_classes
    for metainfo in _metainfos(checkpoint, cfg):
        names, palette = (metainfo.get(key) for key in CLASS_KEYS)
        # Another number is that of other data.
        if names and len(names) == count:
            colors = [tuple(color) for color in palette or ()]
            return Legend(list(names), colors if len(colors) == count else None)
    return Legend([f'class {number}' for number in range(count)], None)


def _metainfos(checkpoint: str | Path | None, cfg: Config) -> Iterator[Mapping[str, Any]]:
    if checkpoint is not None:
        meta = read_checkpoint(checkpoint).get('meta')
        yield (meta.get('dataset_meta') if isinstance(meta, dict) else None) or {}
    files: dict[Path, None] = {}
    for loader in LOADERS:
        for node in nested_dicts(cfg.get(loader)):
            yield node.get('metainfo') or {}
            if node.get('ann_file'):
                files[Path(node.get('data_root') or '', node['ann_file'])] = None
    for file in files:
        if file.is_file():
            yield read_annotations(str(file))[0]
