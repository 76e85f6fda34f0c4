"""Pooling the segments of an image."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor

from urbancross_mm.functional import similarity
from urbancross_mm.registry import MODELS


@MODELS.register_module()
class MaskedSegmentPool(BaseModule):
    """Mean of the unit vectors of the valid segments, brought back to unit length.

    Every valid segment weighs the same, and padding neither moves the result nor gets gradient.
    """

    def forward(self, segment_embeds: Tensor, segment_mask: Tensor) -> Tensor:
        """Pool K segments to one vector.

        Args:
            segment_embeds (Tensor): Unit vectors; whatever stands at padding is not read.
            segment_mask (Tensor): True at valid segments.

        Shape:
            segment_embeds (B, K, D), segment_mask (B, K) -> (B, D).

        Returns:
            Tensor: Unit vectors; zero where an image has no valid segment.
        """
        valid = segment_mask.unsqueeze(-1)  # (B, K, 1)
        # `where`, not a product: NaN in the padding times zero is NaN.
        total = torch.where(valid, similarity.as_float(segment_embeds), 0.0).sum(dim=1)
        return similarity.normalize(total)  # the count cancels in the direction
