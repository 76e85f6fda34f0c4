"""The vector of an image, gated by what its fine and coarse maps show together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional

from urbancross_mm.functional import similarity
from urbancross_mm.registry import MODELS

REDUCED = 3  # channels of each half, as published


@MODELS.register_module()
class MultiscaleVisualNeck(BaseModule):
    r"""MVSA: fine and coarse maps decide which coordinates of the encoder's own vector count.

    .. math::
        X = [\mathrm{conv}_3(low),\; h + \bar h], \quad h = \mathrm{conv}_1(high)

        f = v \cdot \sigma(W \, \mathrm{flat}(\mathrm{conv}_1(X) \cdot \sigma(\mathrm{conv}_1(X))))

    ``low`` joins the finer half of the maps, ``high`` the coarser half, each enlarged to the size
    of its finest one; :math:`\bar h` is the mean over channels and is added to all of X.

    The maps may be of any backbone and any size. The 3 x 3 convolution on ``low`` takes as many
    steps as brings it to the size of ``high``. W alone is fixed: it reads ``grid`` x ``grid``
    positions, to which both halves are pooled. With 16 that is the identity on the maps of a
    ResNet at 256 pixels, as published. Set ``grid`` to the image size divided by 16.

    Args:
        channels (Sequence[int]): Channels of the maps, finest first; a retriever fills them in.
        embed_dim (int): Width D; a retriever fills it in.
        grid (int): Positions along each side that W reads. Defaults to 16.

    Raises:
        ValueError: If there are fewer than two maps: set ``out_indices`` of the backbone.

    Reference:
        AMFMN (https://arxiv.org/abs/2204.09868), multiscale visual self-attention.
    """

    def __init__(self, channels: Sequence[int], embed_dim: int, grid: int = 16) -> None:
        super().__init__()
        if len(channels) < 2:
            raise ValueError(
                f'MultiscaleVisualNeck needs two maps at least, got channels={list(channels)}: '
                'give the backbone more out_indices'
            )
        self.half = len(channels) // 2
        self.grid = grid
        self.reduce_low = nn.Conv2d(sum(channels[: self.half]), REDUCED, 3)
        self.reduce_high = nn.Conv2d(sum(channels[self.half :]), REDUCED, 1)
        self.main = nn.Conv2d(2 * REDUCED, 1, 1)
        self.gate = nn.Conv2d(2 * REDUCED, 1, 1)
        self.projection = nn.Linear(grid * grid, embed_dim)

    def forward(self, maps: Sequence[Tensor], own: Tensor) -> Tensor:
        """Unit vectors of images.

        Args:
            maps (Sequence[Tensor]): Of the image encoder, finest first.
            own (Tensor): Vector of the image encoder itself.

        Shape:
            maps (N, C_i, H_i, W_i), own (N, D) -> (N, D).

        Returns:
            Tensor: fp32.
        """
        return similarity.normalize(self.pooled(maps, own))

    def pooled(self, maps: Sequence[Tensor], own: Tensor) -> Tensor:
        """The vectors before normalization, as for :meth:`forward`.

        Args:
            maps (Sequence[Tensor]): Of the image encoder, finest first.
            own (Tensor): Vector of the image encoder itself.

        Shape:
            maps (N, C_i, H_i, W_i), own (N, D) -> (N, D).

        Returns:
            Tensor: ``own`` times a factor in (0, 1) for each coordinate.

        Raises:
            ValueError: If the finest map has fewer than 3 positions along a side.
        """
        low, high = _joined(maps[: self.half]), _joined(maps[self.half :])
        if min(low.shape[2:]) < 3:
            raise ValueError(
                f'MultiscaleVisualNeck: the finest map has {tuple(low.shape[2:])} positions, '
                'it needs 3 along each side: give larger images'
            )
        # Not a stride of the layer: which one fits depends on the backbone.
        stride = [
            max(1, round(fine / coarse)) for fine, coarse in zip(low.shape[2:], high.shape[2:])
        ]
        low = functional.conv2d(low, self.reduce_low.weight, self.reduce_low.bias, stride)
        grid = (self.grid, self.grid)
        low = functional.adaptive_avg_pool2d(low, grid)
        high = functional.adaptive_avg_pool2d(self.reduce_high(high), grid)
        joined = torch.cat([low, high], dim=1) + high.mean(dim=1, keepdim=True)
        attended = self.main(joined) * self.gate(joined).sigmoid()
        return own * self.projection(attended.flatten(1)).sigmoid()


def _joined(maps: Sequence[Tensor]) -> Tensor:
    """All channels at the size of the finest map."""
    size = max((values.shape[2:] for values in maps), key=min)
    return torch.cat([functional.interpolate(values, size) for values in maps], dim=1)
