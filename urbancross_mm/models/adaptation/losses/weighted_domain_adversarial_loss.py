"""The adversarial loss between source and target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from urbancross_mm.models.adaptation.losses.base import BaseAdaptationLoss
from urbancross_mm.models.build import build_part
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import DomainBatch

MODALITIES = ('image', 'text')


@MODELS.register_module()
class WeightedDomainAdversarialLoss(BaseAdaptationLoss):
    r"""A discriminator tells the domains apart, the encoders learn that it cannot.

    .. math::
        \sum_{m} \Big[ \sum_j w_{s,j} \, \mathrm{BCE}(D_m(R(z_{s,j})), 1)
        + \sum_i w_{t,i} \, \mathrm{BCE}(D_m(R(z_{t,i})), 0) \Big]

    over the modalities m, with R the reversal of the gradient, inside the head. Adds
    ``domain_acc``, the mean accuracy over both domains in percent: 50 means they are confused.

    Args:
        head (dict | None): Config of the discriminator. Defaults to None,
            ``dict(type='DomainAdversarialHead')``.
        modalities (Sequence[str]): Of 'image' and 'text'. Defaults to both.
        weighted (bool): Use the weights of the selection; else all samples of a domain have equal
            weight, which is DANN. Defaults to True.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Raises:
        ValueError: If a modality is unknown.

    Reference:
        UrbanCross (https://arxiv.org/abs/2404.14241); DANN (https://arxiv.org/abs/1505.07818);
        IWAN (https://arxiv.org/abs/1803.09210) for weights in an adversarial loss.
    """

    def __init__(
        self,
        head: dict[str, Any] | None = None,
        modalities: Sequence[str] = MODALITIES,
        weighted: bool = True,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        if not modalities or any(name not in MODALITIES for name in modalities):
            raise ValueError(f'modalities must be of {MODALITIES}, got {modalities!r}')
        self.modalities = tuple(modalities)
        self.weighted = weighted
        self.head = build_part(head or dict(type='DomainAdversarialHead'), 'discriminator')

    def set_embed_dim(self, embed_dim: int) -> None:
        """Build the discriminator for this width."""
        self.head.set_embed_dim(embed_dim, self.modalities)

    def compute(self, batch: DomainBatch) -> dict[str, Tensor]:
        """``loss_domain_image``, ``loss_domain_text`` and ``domain_acc``."""
        terms, accuracies = {}, []
        for modality in self.modalities:
            source = self.head(getattr(batch, f'source_{modality}'), modality)
            target = self.head(getattr(batch, f'target_{modality}'), modality)
            terms[f'loss_domain_{modality}'] = self._cross_entropy(
                source, torch.ones_like(source), batch.w_source
            ) + self._cross_entropy(target, torch.zeros_like(target), batch.w_target)
            accuracies += [(source > 0).float().mean(), (target < 0).float().mean()]
        terms['domain_acc'] = 100 * torch.stack(accuracies).mean()
        return terms

    def _cross_entropy(self, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        if not self.weighted:
            return binary_cross_entropy_with_logits(logits, labels)
        return binary_cross_entropy_with_logits(logits, labels, weights, reduction='sum')
