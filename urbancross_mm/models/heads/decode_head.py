"""Decode heads in a retriever: how they are built, and their loss on the images with a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor

from urbancross_mm.models.build import build_part
from urbancross_mm.structures import RetrievalDataSample


def build_decode_head(cfg: Mapping[str, Any], shapes: Sequence[tuple[int, int]]) -> Any:
    """Build a decode head with the channels and strides of the maps that it reads.

    Args:
        cfg (Mapping): Config of :class:`LiteFPNHead` or of a head of mmseg. ``in_index`` names its
            maps.
        shapes (Sequence[tuple[int, int]]): Channels and stride of each map.

    Returns:
        nn.Module: The head.

    Raises:
        ValueError: If there is no such map, ``in_channels`` is given and does not fit, or the head
            refuses its arguments.
    """
    cfg = dict(cfg)
    kind = str(cfg.get('type')).rpartition('.')[2]
    index = cfg.setdefault('in_index', [0, 1, 2] if kind == 'LiteFPNHead' else -1)
    if kind == 'LiteFPNHead' and isinstance(index, int):
        index = cfg['in_index'] = [index]
    chosen = [index] if isinstance(index, int) else list(index)
    outside = [i for i in chosen if not -len(shapes) <= i < len(shapes)]
    if outside:
        raise ValueError(
            f'pyramid.decode_head.in_index={index!r}, but the image encoder gives '
            f'{len(shapes)} map(s): give its backbone out_indices=(0, 1, 2, 3)'
        )
    fitting = [shapes[i][0] for i in chosen]
    given = cfg.setdefault('in_channels', fitting[0] if isinstance(index, int) else fitting)
    if ([given] if isinstance(given, int) else list(given)) != fitting:
        raise ValueError(
            f'pyramid.decode_head.in_channels={given!r}, but the maps of in_index={index!r} '
            f'have {fitting} channels: leave in_channels out'
        )
    if kind == 'FPNHead':
        cfg.setdefault('feature_strides', [shapes[i][1] for i in chosen])
    try:
        head = build_part(cfg, 'pyramid.decode_head')
    except (AssertionError, TypeError) as error:
        raise ValueError(
            f'pyramid.decode_head {cfg.get("type")!r} refuses in_index={index!r} and '
            f'in_channels={given!r} or another argument: {error or "an assertion of its own"}'
        ) from error
    _check_losses(head)
    return head


def _check_losses(head: Any) -> None:
    """mmseg's cross-entropy fails in its first step with both options."""
    for loss in head.modules():
        weighted = getattr(loss, 'class_weight', None) is not None
        if weighted and getattr(loss, 'avg_non_ignore', False):
            raise ValueError(
                f'pyramid.decode_head: {type(loss).__name__} with class_weight needs '
                'avg_non_ignore=False; unlabeled pixels are left out all the same'
            )


def segmentation_loss(
    head: Any,
    seg_logits: Any,
    data_samples: Sequence[RetrievalDataSample],
    divide_by_batch: bool = False,
) -> tuple[dict[str, Tensor], bool]:
    """Loss of a decode head, averaged over the images of all ranks that have a labeled pixel.

    Args:
        head (nn.Module): The decode head.
        seg_logits (Any): What it returned.
        data_samples (Sequence[RetrievalDataSample]): Some with ``gt_sem_seg``.
        divide_by_batch (bool): See :class:`ImagePyramid`. Defaults to False.

    Returns:
        tuple[dict[str, Tensor], bool]: ``loss_segmentation``, the sum of the head's losses, with
        what it reports besides; whether any rank has such an image.

    Raises:
        ValueError: If a class map has a class that the head lacks.
    """
    rows = _labeled(head, data_samples)
    parts = seg_logits if isinstance(seg_logits, tuple) else (seg_logits,)
    total = parts[0].new_tensor(float(len(rows)), dtype=torch.float32)
    all_reduce(total)
    if not rows:  # DistributedDataParallel waits for a gradient of every weight
        zero = 0 * torch.stack([part.float().sum() for part in parts]).sum()
        return dict(loss_segmentation=zero), bool(total > 0)
    terms = head.loss_by_feat(rows_of(seg_logits, rows), [data_samples[row] for row in rows])
    # The mean that DistributedDataParallel takes over ranks is then one over all images.
    share = len(rows) * get_world_size() / total
    if divide_by_batch:
        share = share / total
    losses = [value for name, value in terms.items() if 'loss' in name]
    others = {name: value for name, value in terms.items() if 'loss' not in name}
    return dict(loss_segmentation=share * torch.stack(losses).sum(), **others), True


def rows_of(seg_logits: Any, rows: list[int]) -> Any:
    """Select images in what a decode head returned.

    Args:
        seg_logits (Any): A tensor, or a tuple of them.
        rows (list[int]): The images.

    Returns:
        Any: As it came.
    """
    if isinstance(seg_logits, tuple):
        return tuple(part[rows] for part in seg_logits)
    return seg_logits[rows]


def _labeled(head: Any, data_samples: Sequence[RetrievalDataSample]) -> list[int]:
    """Rows with a pixel of a class."""
    ignored, classes = head.ignore_index, head.num_classes
    rows = [row for row, sample in enumerate(data_samples) if 'gt_sem_seg' in sample]
    if not rows:
        return []
    maps = [data_samples[row].gt_sem_seg.data for row in rows]
    largest = torch.stack([labels.masked_fill(labels == ignored, -1).max() for labels in maps])
    values = dict(zip(rows, largest.tolist()))  # one wait for the device
    for row, value in values.items():
        if value >= classes:
            raise ValueError(
                f'the class map of {data_samples[row].get("img_path")} has the class {value}, '
                f'but model.pyramid.decode_head.num_classes={classes}'
            )
    return [row for row, value in values.items() if value >= 0]
