"""Attention on the pixels where a segmentation sees something."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional

from urbancross_mm.registry import MODELS

GATES = ('logit_sum', 'sigmoid')
POOLS = ('avg', 'max', 'bilinear', 'none')
NORMS = ('bn', 'gn', 'none')
GROUPS = 16


@MODELS.register_module()
class SemanticSpatialAttention(BaseModule):
    r"""SSA: every map is multiplied by how much a segmentation sees at each of its pixels.

    .. math::
        A = \sum_{k \ne background} P_k, \qquad F'_i = norm(F_i \cdot resize_i(A))

    P are the logits of the segmentation. Nothing is detached: retrieval trains the decode head.

    Args:
        channels (Sequence[int]): Channels C_i of the maps; a retriever fills them in.
        gate (str): ``'logit_sum'``, A as above and as released: any size and sign.
            ``'sigmoid'``: :math:`\sigma(A)`, in (0, 1). Defaults to 'logit_sum'.
        pooling (str): How A comes to the size of a map: ``'avg'`` or ``'max'`` over its cells,
            ``'bilinear'``, or ``'none'``: the map has the size of A. Defaults to 'avg'.
        norm (str): ``'bn'``, ``'gn'`` (16 groups) or ``'none'``, after the product.
            Defaults to 'none'.
        background (int, optional): The class that is left out of the sum. Defaults to 0.
            None: there is no such class.

    Raises:
        ValueError: If an option is unknown.

    Reference:
        SIRS (TGRS 2024), semantic spatial attention.
    """

    def __init__(
        self,
        channels: Sequence[int],
        gate: str = 'logit_sum',
        pooling: str = 'avg',
        norm: str = 'none',
        background: int | None = 0,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ('gate', gate, GATES),
            ('pooling', pooling, POOLS),
            ('norm', norm, NORMS),
        ):
            if value not in known:
                raise ValueError(f'attention.{name} must be one of {known}, got {value!r}')
        self.gate = gate
        self.pooling = pooling
        self.background = background
        self.norms = nn.ModuleList(_norm(norm, width) for width in channels)

    def forward(self, maps: Sequence[Tensor], logits: Tensor) -> tuple[Tensor, ...]:
        """Weigh the pixels of each map.

        Args:
            maps (Sequence[Tensor]): Of the image encoder.
            logits (Tensor): Of the decode head, at any size.

        Shape:
            maps (N, C_i, H_i, W_i), logits (N, K, h, w) -> maps as they came.

        Returns:
            tuple[Tensor]: The maps.

        Raises:
            ValueError: If ``pooling='none'`` and a map has another size than the logits.
        """
        attention = self.attention(logits)
        return tuple(
            norm(values * self._resize(attention, (values.shape[2], values.shape[3])))
            for norm, values in zip(self.norms, maps)
        )

    def attention(self, logits: Tensor) -> Tensor:
        """The gate A.

        Args:
            logits (Tensor): Of the decode head.

        Shape:
            (N, K, h, w) -> (N, 1, h, w).

        Returns:
            Tensor: One value per pixel.

        Raises:
            ValueError: If there is no class besides the background.
        """
        classes = logits.shape[1]
        kept = [index for index in range(classes) if index != self.background]
        if not kept:
            raise ValueError(
                f'attention: {classes} class(es) without background={self.background} is none; '
                'give background=None'
            )
        total = logits[:, kept].sum(dim=1, keepdim=True)
        return total.sigmoid() if self.gate == 'sigmoid' else total

    def _resize(self, attention: Tensor, size: tuple[int, int]) -> Tensor:
        if tuple(attention.shape[2:]) == size:
            return attention
        if self.pooling == 'avg':
            return functional.adaptive_avg_pool2d(attention, size)
        if self.pooling == 'max':
            return functional.adaptive_max_pool2d(attention, size)
        if self.pooling == 'bilinear':
            return functional.interpolate(attention, size, mode='bilinear', align_corners=False)
        raise ValueError(
            f"attention.pooling='none' needs maps of the size of the logits, "
            f'{tuple(attention.shape[2:])}, got {size}'
        )


def _norm(kind: str, width: int) -> nn.Module:
    if kind == 'bn':
        return nn.BatchNorm2d(width)
    if kind == 'gn':
        return nn.GroupNorm(math.gcd(GROUPS, width), width)
    return nn.Identity()
