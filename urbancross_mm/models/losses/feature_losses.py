"""Losses on the features of several modalities, as a config names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor

from urbancross_mm.functional import alignment, modal
from urbancross_mm.registry import MODELS
from urbancross_mm.utils.devices import full_precision


class BaseFeatureLoss(BaseModule):
    """A weighted loss, computed in fp32 whatever autocast and TF32 settings are on.

    Args:
        loss_weight (float): Factor of the loss. Defaults to 1.0.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def weighted(self, loss: Callable[..., Tensor], *feats: Tensor, **options: Any) -> Tensor:
        """The weight times a loss of :mod:`urbancross_mm.functional`.

        Args:
            loss (Callable): The function.
            *feats (Tensor): Its features.
            **options (Any): Its other arguments.

        Returns:
            Tensor: A scalar.
        """
        with torch.autocast(feats[0].device.type, enabled=False), full_precision():
            return self.loss_weight * loss(*feats, **options)


@MODELS.register_module()
class ConsistencyLoss(BaseFeatureLoss):
    """Mean squared difference of two views, or of two modalities, of the same items.

    Args:
        loss_weight (float): Factor of the loss. Defaults to 1.0.
    """

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Weighted loss; see :func:`urbancross_mm.functional.modal.consistency`.

        Args:
            first (Tensor): Features.
            second (Tensor): Their counterparts.

        Shape:
            first, second (N, D) -> a scalar.

        Returns:
            Tensor: The loss.
        """
        return self.weighted(modal.consistency, first, second)


@MODELS.register_module()
class FeatureDistillationLoss(BaseFeatureLoss):
    """Divergence of a student's from a teacher's coordinates, both through a softmax.

    Args:
        temperature (float): Divisor of the coordinates. Defaults to 0.2.
        detach (bool): No gradient to the teacher. Defaults to True; the released code has False.
        released (bool): Divide by the width too, as the released code does. Defaults to False.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
    """

    def __init__(
        self,
        temperature: float = 0.2,
        detach: bool = True,
        released: bool = False,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.temperature = temperature
        self.detach = detach
        self.released = released

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Weighted loss; see :func:`urbancross_mm.functional.modal.feature_distillation`.

        Args:
            student (Tensor): Features.
            teacher (Tensor): Their counterparts.

        Shape:
            student, teacher (N, D) -> a scalar.

        Returns:
            Tensor: The loss.
        """
        return self.weighted(
            modal.feature_distillation,
            student,
            teacher,
            temperature=self.temperature,
            detach=self.detach,
            released=self.released,
        )


@MODELS.register_module()
class MKMMDLoss(BaseFeatureLoss):
    """Distance of the distributions of two views, at least two vectors each.

    Args:
        released (bool): The sum over all pairs, at most 200, instead of the mean: it grows with
            the square of the batch. Defaults to False.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
    """

    def __init__(self, released: bool = False, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.released = released

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Weighted loss; see :func:`urbancross_mm.functional.alignment.mk_mmd`.

        Args:
            first (Tensor): Features.
            second (Tensor): Features of the other view, in any order.

        Shape:
            first, second (N, D) -> a scalar.

        Returns:
            Tensor: The loss.
        """
        if self.released:
            return self.weighted(alignment.summed_mk_mmd, first, second)
        return self.weighted(alignment.mk_mmd, first, second, paired=True)


@MODELS.register_module()
class FeatureLengthLoss(BaseFeatureLoss):
    """Distance of the mean length of features from 1.

    Args:
        loss_weight (float): Factor of the loss. Defaults to 1.0.
    """

    def forward(self, feats: Tensor) -> Tensor:
        """Weighted loss; see :func:`urbancross_mm.functional.modal.length_deviation`.

        Args:
            feats (Tensor): Features.

        Shape:
            (N, D) -> a scalar.

        Returns:
            Tensor: The loss.
        """
        return self.weighted(modal.length_deviation, feats)


@MODELS.register_module()
class ModalConfusionLoss(BaseFeatureLoss):
    """Cross-entropy of a :class:`ModalDiscriminator` towards a wrong modality.

    Args:
        loss_weight (float): Factor of the loss. Defaults to 1.0.
    """

    def forward(self, logits: Tensor, label: int, generator: torch.Generator) -> Tensor:
        """Weighted loss; see :func:`urbancross_mm.functional.modal.confusion`.

        Args:
            logits (Tensor): Of the discriminator, for features of one modality.
            label (int): Its class.
            generator (torch.Generator): On the CPU; draws the wrong class of the batch.

        Shape:
            (N, K) -> a scalar.

        Returns:
            Tensor: The loss.
        """
        return self.weighted(modal.confusion, logits, label=label, generator=generator)
