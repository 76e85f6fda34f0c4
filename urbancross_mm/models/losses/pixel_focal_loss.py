"""Focal loss of a segmentation."""

from __future__ import annotations

from typing import Any

import mmengine
import torch
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn import functional

from urbancross_mm.registry import MODELS


@MODELS.register_module()
class PixelFocalLoss(BaseModule):
    r"""Cross-entropy that counts pixels less the surer they are, for any decode head.

    .. math::
        - \frac{1}{N} \sum_n w_{y_n} (1 - p_{y_n})^\gamma \log p_{y_n}

    over the N pixels with a class. mmseg's ``FocalLoss`` needs mmcv's compiled operators; this one
    runs without. Within a head of mmseg it is ``urbancross_mm.PixelFocalLoss``.

    Args:
        gamma (float): Exponent; 0 is cross-entropy. Defaults to 2.0.
        class_weight (list[float] | str, optional): Weight w of each class, or a file of them.
            Defaults to None.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        loss_name (str): Name in the log. Defaults to 'loss_focal'.

    Reference:
        Focal loss (https://arxiv.org/abs/1708.02002), eq. 5, with softmax.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        class_weight: list[float] | str | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_focal',
    ) -> None:
        super().__init__()
        self.gamma = gamma
        self.class_weight: list[float] | None = (
            mmengine.load(class_weight) if isinstance(class_weight, str) else class_weight
        )
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
        **kwargs: Any,
    ) -> Tensor:
        """Loss of a batch.

        Args:
            logits (Tensor): Of a decode head, at the size of the labels.
            labels (Tensor): Class of every pixel, or ``ignore_index``.
            weight (Tensor, optional): Of every pixel, from the sampler of a head. Defaults to None.
            ignore_index (int): The label that does not count. Defaults to 255.
            **kwargs: What mmseg's heads hand to all losses.

        Shape:
            logits (N, K, H, W), labels and weight (N, H, W).

        Returns:
            Tensor: A scalar; 0 without a labeled pixel.
        """
        counted = labels != ignore_index
        log_p = functional.log_softmax(logits.float(), dim=1)
        targets = labels.clamp(0, logits.shape[1] - 1)
        log_p = log_p.gather(1, targets[:, None])[:, 0]
        loss = -(1 - log_p.exp()).pow(self.gamma) * log_p * counted
        if self.class_weight is not None:
            loss = loss * torch.tensor(self.class_weight, device=loss.device)[targets]
        if weight is not None:
            loss = loss * weight
        return self.loss_weight * loss.sum() / counted.sum().clamp(min=1)
