"""Reading the image and the class map of an item."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from urbancross_mm.registry import TRANSFORMS
from urbancross_mm.structures.class_maps import IGNORE_INDEX, check_same_size, read_checked_map
from urbancross_mm.utils.images import read_image


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Decode the image of an item, once.

    Needs ``img_path``; ``img_bytes``, the content of a file, is used up instead where an item has
    it. Adds ``img`` (uint8, RGB, ``(H, W, 3)``), ``ori_shape`` (on disk) and ``img_shape`` (as
    decoded), both (height, width) in pixels.

    Args:
        draft (int | None): See :func:`read_image`. Give twice the side that the pipeline resizes
            to, in training: the pixels change by a gray level or less on average. Tests should
            decode exactly. Defaults to None.

    Raises:
        FileNotFoundError: If the image is missing.
        ValueError: If it is truncated, no image, or has more than 8 bits per channel.
    """

    def __init__(self, draft: int | None = None) -> None:
        if draft is not None and (not isinstance(draft, int) or draft < 1):
            raise ValueError(f'draft must be a number of pixels from 1, or None; got {draft!r}')
        self.draft = draft

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Decode the image."""
        results['img'], results['ori_shape'] = read_image(
            results['img_path'], self.draft, results.pop('img_bytes', None)
        )
        results['img_shape'] = results['img'].shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadSegMap(BaseTransform):
    """Read the class map of an image.

    Needs ``ori_shape``, ``img_shape`` and, if the image has a map, ``seg_map_path``: an 8-bit PNG,
    gray or with a palette, whose values are the classes. Adds ``gt_seg_map`` (uint8, ``(H, W)``),
    which the geometry transforms move with the image. 255 is a pixel without a class; an image
    without a map has no other.

    Args:
        num_classes (int | None): Refuse a value of no class. Defaults to None, no check.

    Raises:
        FileNotFoundError: If the map is missing.
        ValueError: If it is no such file, has a value of no class, or another size than the image.
    """

    def __init__(self, num_classes: int | None = None) -> None:
        if num_classes is not None and not 1 <= num_classes <= IGNORE_INDEX:
            raise ValueError(f'num_classes must be 1 to {IGNORE_INDEX}, got {num_classes}')
        self.num_classes = num_classes

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read the map."""
        path = results.get('seg_map_path')
        if not path:
            results['gt_seg_map'] = np.full(results['img_shape'], IGNORE_INDEX, np.uint8)
            return results
        try:
            labels = read_checked_map(path, self.num_classes)
        except FileNotFoundError:
            raise FileNotFoundError(
                f'class map of {results["img_path"]} not found: {path}'
            ) from None
        check_same_size(path, labels.shape, results['img_path'], results['ori_shape'])
        results['gt_seg_map'] = labels
        return results
