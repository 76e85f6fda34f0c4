"""Reconstruction of hidden patches, a task that needs no labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from urbancross_mm.models.build import build_part
from urbancross_mm.registry import MODELS


@MODELS.register_module()
class MaskedImageHead(BaseModule):
    """Hides patches of the training images, and rebuilds them from the maps.

    The decoder and the loss are mmpretrain's of SparK: a U-Net from the coarsest map up, and the
    squared error on the hidden patches, each normalized. A learned token stands in every map where
    the image was hidden. The backbone is an ordinary, dense one.

    Args:
        channels (Sequence[int]): Channels of the maps, finest first; a retriever fills them in.
        strides (Sequence[int]): Their strides, each twice the one before; a retriever fills them
            in. The last is the side of a patch.
        mask_ratio (float): Share of the patches that is hidden, in (0, 1). Defaults to 0.05.
        feature_dim (int): Width of the decoder at the coarsest map; halved at each finer one.
            Defaults to 768.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Raises:
        ValueError: If an argument is out of range, or the strides do not double.

    Reference:
        SIRS (TGRS 2024), variant IRMIM; SparK (https://arxiv.org/abs/2301.03580).
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        mask_ratio: float = 0.05,
        feature_dim: int = 768,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 < mask_ratio < 1:
            raise ValueError(f'masked_image.mask_ratio must lie in (0, 1), got {mask_ratio}')
        if any(coarse != 2 * fine for fine, coarse in zip(strides, strides[1:])):
            raise ValueError(
                f'masked_image needs maps whose strides double, got strides {list(strides)}'
            )
        if feature_dim % strides[-1]:
            raise ValueError(
                f'masked_image.feature_dim must be a multiple of the last stride, {strides[-1]}, '
                f'got {feature_dim}'
            )
        self.mask_ratio = mask_ratio
        self.patch_size = strides[-1]
        self.loss_weight = loss_weight
        widths = [feature_dim // 2**level for level in range(len(channels))]
        inputs = list(channels)[::-1]  # coarsest first, as the decoder reads them
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in inputs)
        self.tokens = nn.ParameterList(torch.randn(1, width, 1, 1) * 0.02 for width in inputs)
        self.projections = nn.ModuleList(
            nn.Conv2d(width, out, 1) for width, out in zip(inputs, widths)
        )
        self.decoder = build_part(
            dict(
                type='mmpretrain.SparKLightDecoder',
                feature_dim=feature_dim,
                upsample_ratio=self.patch_size,
                norm_cfg=dict(type='BN'),
            ),
            'masked_image decoder',
        )
        self.criterion = build_part(
            dict(
                type='mmpretrain.SparKPretrainHead',
                loss=dict(type='PixelReconstructionLoss', criterion='L2'),
                patch_size=self.patch_size,
            ),
            'masked_image loss',
        )

    def hide(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Hide patches, the same number in every image.

        Args:
            image (Tensor): Normalized images; hidden pixels get 0, the mean.

        Shape:
            (N, 3, H, W) -> (N, 3, H, W), and (N, 1, H / patch, W / patch) bool.

        Returns:
            tuple[Tensor, Tensor]: The images, and which patches are still there.

        Raises:
            ValueError: If the patches do not divide the image, or none or all would be hidden.
        """
        rows, columns = (side // self.patch_size for side in image.shape[2:])
        if (rows * self.patch_size, columns * self.patch_size) != tuple(image.shape[2:]):
            raise ValueError(
                f'masked_image hides patches of {self.patch_size} px, which do not divide an '
                f'image of {tuple(image.shape[2:])} px: set IMAGE_SIZE to a multiple'
            )
        kept = round(rows * columns * (1 - self.mask_ratio))
        if not 0 < kept < rows * columns:
            raise ValueError(
                f'masked_image.mask_ratio={self.mask_ratio} would hide {rows * columns - kept} of '
                f'{rows * columns} patches'
            )
        order = torch.rand(len(image), rows * columns, device=image.device).argsort(dim=1)
        present = (order < kept).view(len(image), 1, rows, columns)
        return image * _enlarge(present, self.patch_size), present

    def loss(self, maps: Sequence[Tensor], image: Tensor, present: Tensor) -> dict[str, Tensor]:
        """Loss of the reconstruction.

        Args:
            maps (Sequence[Tensor]): Of the images with hidden patches.
            image (Tensor): The whole images.
            present (Tensor): Of :meth:`hide`.

        Shape:
            maps (N, C_i, H_i, W_i), image (N, 3, H, W), present (N, 1, h, w).

        Returns:
            dict[str, Tensor]: ``loss_masked_image``.
        """
        scales = []
        for level, feats in enumerate(reversed(list(maps))):
            seen = _enlarge(present, feats.shape[2] // present.shape[2])
            filled = torch.where(seen, self.norms[level](feats), self.tokens[level])
            scales.append(self.projections[level](filled))
        loss = self.criterion(self.decoder(scales), image, present)
        return dict(loss_masked_image=self.loss_weight * loss)


def _enlarge(mask: Tensor, factor: int) -> Tensor:
    return mask.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
