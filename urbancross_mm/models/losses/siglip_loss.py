"""The pairwise sigmoid loss of SigLIP."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from urbancross_mm.functional import contrastive
from urbancross_mm.models.losses.base import BaseRetrievalLoss
from urbancross_mm.registry import MODELS


@MODELS.register_module()
class SigLIPLoss(BaseRetrievalLoss):
    """Independent binary classification of every image-text pair.

    Scale and bias are learned. The first bias makes all pairs look negative, as nearly all are.

    Args:
        init_scale (float): First factor of the cosines. Defaults to 10.0.
        init_bias (float): First bias. Defaults to -10.0.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Raises:
        ValueError: If ``init_scale`` is not positive.

    Reference:
        SigLIP (https://arxiv.org/abs/2303.15343), algorithm 1.
    """

    def __init__(
        self,
        init_scale: float = 10.0,
        init_bias: float = -10.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        if init_scale <= 0:
            raise ValueError(f'init_scale must be positive, got {init_scale}')
        self.logit_scale = nn.Parameter(torch.tensor(math.log(init_scale)))
        self.logit_bias = nn.Parameter(torch.tensor(float(init_bias)))

    def diagnostics(self) -> dict[str, Tensor]:
        """Scale and bias in force, as ``logit_scale`` and ``logit_bias``."""
        return {
            'logit_scale': self.logit_scale.detach().exp(),
            'logit_bias': self.logit_bias.detach(),
        }

    def compute(
        self, image_embeds: Tensor, text_embeds: Tensor, positives: Tensor | None
    ) -> Tensor:
        """Loss of N images and M texts."""
        return contrastive.siglip(
            image_embeds, text_embeds, self.logit_scale.exp(), self.logit_bias, positives
        )
