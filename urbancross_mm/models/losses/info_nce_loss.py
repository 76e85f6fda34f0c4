"""The contrastive loss of CLIP with several positives."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from urbancross_mm.functional import contrastive
from urbancross_mm.models.losses.base import BaseRetrievalLoss
from urbancross_mm.registry import MODELS


class _ClampAbove(torch.autograd.Function):
    """``min(x, bound)`` whose gradient still passes where a descent step leads back.

    A plain clamp has no gradient above its bound: a scale that oversteps it once stays there.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp(max=bound)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return torch.where((x <= ctx.bound) | (grad > 0), grad, torch.zeros_like(grad)), None


@MODELS.register_module()
class InfoNCELoss(BaseRetrievalLoss):
    """Symmetric cross entropy over scaled cosines, targets uniform over the positives.

    The scale is learned as its logarithm, in the parameter ``logit_scale``. It is clamped where
    it is used; the parameter is never written in place, so DDP and resumed runs see plain SGD.

    Args:
        init_scale (float): First scale; 100 continues a trained CLIP. Defaults to 1 / 0.07.
        max_scale (float): The scale never exceeds it. Defaults to 100.0.
        learnable (bool): Learn the scale. Defaults to True.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Raises:
        ValueError: If not ``0 < init_scale <= max_scale``.

    Reference:
        CLIP (https://arxiv.org/abs/2103.00020), figure 3.
    """

    def __init__(
        self,
        init_scale: float = 1 / 0.07,
        max_scale: float = 100.0,
        learnable: bool = True,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        if not 0 < init_scale <= max_scale:
            raise ValueError(
                f'init_scale must lie in (0, max_scale], got {init_scale} with {max_scale}'
            )
        self.log_bound = math.log(max_scale)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(init_scale)), requires_grad=learnable)

    @property
    def scale(self) -> Tensor:
        """The factor of the cosines in force, a scalar."""
        return _ClampAbove.apply(self.logit_scale, self.log_bound).exp()

    def diagnostics(self) -> dict[str, Tensor]:
        """The scale in force, as ``logit_scale``."""
        return {'logit_scale': self.scale.detach()}

    def compute(
        self, image_embeds: Tensor, text_embeds: Tensor, positives: Tensor | None
    ) -> Tensor:
        """Loss of N images and M texts."""
        return contrastive.info_nce(image_embeds, text_embeds, self.scale, positives)
