"""The small decode head that SIRS was released with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional

from urbancross_mm.models.build import build_part
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import RetrievalDataSample


@MODELS.register_module()
class LiteFPNHead(BaseModule):
    """A sum of three maps, brought to one width and to the size of the finest.

    It has the interface of mmseg's decode heads (``forward``, ``loss_by_feat``, ``num_classes``,
    ``ignore_index``), and takes mmseg's losses. Without a top-down path: 0.15 M parameters on
    ResNet-18, all of them used.

    Args:
        in_channels (Sequence[int]): Channels of the maps of ``in_index``; a retriever fills them
            in.
        num_classes (int): Classes, the background included.
        in_index (Sequence[int]): Which maps, the finest first. Defaults to (0, 1, 2).
        channels (int): Width of the laterals. Defaults to 256.
        hidden_channels (int): Width before the classifier. Defaults to 128.
        ignore_index (int): The label that carries no loss. Defaults to 255.
        align_corners (bool): Of the resizing. Defaults to True, as released.
        loss_decode (dict | Sequence[dict]): Configs of mmseg's losses. Defaults to None,
            ``dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True)``.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.

    Reference:
        SIRS (TGRS 2024), segmentation branch.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        in_index: Sequence[int] = (0, 1, 2),
        channels: int = 256,
        hidden_channels: int = 128,
        ignore_index: int = 255,
        align_corners: bool = True,
        loss_decode: dict[str, Any] | Sequence[dict[str, Any]] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_index = list(in_index)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.align_corners = align_corners
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in in_channels)
        self.shared = nn.Sequential(
            nn.Conv2d(channels, hidden_channels, 1),
            nn.GroupNorm(hidden_channels, hidden_channels),
            nn.ReLU(),
        )
        self.conv_seg = nn.Conv2d(hidden_channels, num_classes, 1)
        losses = loss_decode or dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True)
        losses = [losses] if isinstance(losses, dict) else losses
        self.loss_decode = nn.ModuleList(build_part(loss, 'loss_decode') for loss in losses)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits of every class.

        Args:
            maps (Sequence[Tensor]): All maps of the image encoder.

        Shape:
            (N, C_i, H_i, W_i) -> (N, num_classes, h, w), h and w of the finest map it reads.

        Returns:
            Tensor: The logits.
        """
        chosen = [maps[index] for index in self.in_index]
        size = chosen[0].shape[2:]
        scales = [
            self._resize(self.shared(lateral(values)), size)
            for lateral, values in zip(self.laterals, chosen)
        ]
        return self.conv_seg(torch.stack(scales).sum(dim=0))

    def loss_by_feat(
        self, seg_logits: Tensor, batch_data_samples: Sequence[RetrievalDataSample]
    ) -> dict[str, Tensor]:
        """Losses against the class maps.

        Args:
            seg_logits (Tensor): Of :meth:`forward`.
            batch_data_samples (Sequence[RetrievalDataSample]): With ``gt_sem_seg``.

        Shape:
            seg_logits (N, num_classes, h, w).

        Returns:
            dict[str, Tensor]: By the names of the losses.
        """
        labels = torch.stack([sample.gt_sem_seg.data for sample in batch_data_samples])[:, 0]
        logits = self._resize(seg_logits, labels.shape[1:])
        losses: dict[str, Any] = {}
        for loss in self.loss_decode:
            name = str(loss.loss_name)
            value = loss(logits, labels, ignore_index=self.ignore_index)
            losses[name] = losses.get(name, 0) + value
        return losses

    def _resize(self, values: Tensor, size: torch.Size) -> Tensor:
        if values.shape[2:] == size:
            return values
        return functional.interpolate(
            values, size, mode='bilinear', align_corners=self.align_corners
        )
