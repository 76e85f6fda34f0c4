"""One vector of an image from maps of several scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from urbancross_mm.functional import similarity
from urbancross_mm.registry import MODELS

WEIGHTS = ('mean', 'learned')
POOLS = ('avg', 'max')


@MODELS.register_module()
class AdaptiveMultiscaleWeighting(BaseModule):
    r"""AMW: each scale has its own projection; a text is compared with all of them.

    .. math::
        s(v, t) = \sum_i w_i \cos(v_i, t) = \langle \sum_i w_i \hat v_i, \hat t \rangle

    So one vector an image, :math:`\sum_i w_i \hat v_i`, stands for all scales. It is shorter than 1
    where the scales disagree, and is not normalized: its product with a text is the score.
    The last scale is the image encoder's own vector; the others are projected here.

    Args:
        channels (Sequence[int]): Channels C_i of the other maps; a retriever fills them in.
        embed_dim (int): Width D; a retriever fills it in.
        weights (str): ``'mean'``, as released, or ``'learned'``: non-negative, sum 1, equal at
            the start. Defaults to 'mean'.
        pool (str): ``'avg'`` or ``'max'`` over the pixels of a map. Defaults to 'avg'.

    Raises:
        ValueError: If an option is unknown.

    Reference:
        SIRS (TGRS 2024), adaptive multi-scale weighting.
    """

    def __init__(
        self, channels: Sequence[int], embed_dim: int, weights: str = 'mean', pool: str = 'avg'
    ) -> None:
        super().__init__()
        for name, value, known in (('weights', weights, WEIGHTS), ('pool', pool, POOLS)):
            if value not in known:
                raise ValueError(f'weighting.{name} must be one of {known}, got {value!r}')
        self.pool = pool
        self.projections = nn.ModuleList(nn.Linear(width, embed_dim) for width in channels)
        self.scale_logits = (
            nn.Parameter(torch.zeros(len(channels) + 1)) if weights == 'learned' else None
        )

    @property
    def scale_weights(self) -> Tensor:
        """Tensor: The weight w_i of each scale, the encoder's own last, ``(scales,)``."""
        if self.scale_logits is None:
            scales = len(self.projections) + 1
            return torch.full((scales,), 1 / scales)
        return self.scale_logits.float().softmax(dim=0)

    def forward(self, maps: Sequence[Tensor], own: Tensor) -> Tensor:
        """Weighted mean of the unit vectors of all scales.

        Args:
            maps (Sequence[Tensor]): The other maps of the image encoder.
            own (Tensor): Vector of the image encoder itself.

        Shape:
            maps (N, C_i, H_i, W_i), own (N, D) -> (N, D).

        Returns:
            Tensor: fp32, of length 1 at most.
        """
        vectors = [
            project(values.mean((2, 3)) if self.pool == 'avg' else values.amax((2, 3)))
            for project, values in zip(self.projections, maps)
        ]
        scales = torch.stack([similarity.normalize(vector) for vector in (*vectors, own)])
        # A product of matrices would run in 16 bits under autocast.
        return (self.scale_weights.to(scales)[:, None, None] * scales).sum(dim=0)
