"""Reading the image of an item."""

from __future__ import annotations

from typing import Any

from mmcv.transforms import BaseTransform

from urbancross_mm.registry import TRANSFORMS
from urbancross_mm.utils.images import read_image


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Decode the image of an item, once.

    Needs ``img_path``. Adds ``img`` (uint8, RGB, ``(H, W, 3)``), ``ori_shape`` (on disk) and
    ``img_shape`` (as decoded), both (height, width) in pixels.

    Args:
        draft (int | None): See :func:`read_image`. Give the side that the pipeline resizes to.
            Defaults to None.

    Raises:
        FileNotFoundError: If the image is missing.
        ValueError: If it is truncated, no image, or has more than 8 bits per channel.
    """

    def __init__(self, draft: int | None = None) -> None:
        self.draft = draft

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Decode the image."""
        results['img'], results['ori_shape'] = read_image(results['img_path'], self.draft)
        results['img_shape'] = results['img'].shape[:2]
        return results
