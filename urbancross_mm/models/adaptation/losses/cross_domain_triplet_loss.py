"""The weighted triplet loss of UrbanCross's adaptation."""

from __future__ import annotations

import torch
from torch import Tensor

from urbancross_mm.functional.similarity import distances
from urbancross_mm.models.adaptation.losses.base import BaseAdaptationLoss
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import CurriculumStage, DomainBatch

NEGATIVES = ('target', 'source', 'target_image')


@MODELS.register_module()
class CrossDomainTripletLoss(BaseAdaptationLoss):
    r"""Source pairs against the hardest negative, in Euclidean distance.

    .. math::
        \sum_j w_j \big( [\|v_j - t_j\| - \|v_j - n_j\| + m]_+
        + [\|v_j - t_j\| - \|t_j - n'_j\| + m]_+ \big)

    with v, t the image and the text of source pair j and n, n' the negatives that are most
    similar to either. A caption of the image is no negative, in whichever domain it occurs. A
    term without any negative is 0.

    Args:
        negative (str): 'target': the hardest text of the target for an image, and the hardest
            image for a text; 'source': the hardest negatives of the source; 'target_image':
            the hardest target image for an image, and no second term, as published.
            Defaults to 'target'.
        margin (float): m until a curriculum sets another one. Defaults to 0.5.
        weighted (bool): Weight by the selection; else all pairs have equal weight.
            Defaults to True.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Raises:
        ValueError: If ``negative`` is unknown.

    Reference:
        UrbanCross (https://arxiv.org/abs/2404.14241), weighted adversarial fine-tuning.
    """

    def __init__(
        self,
        negative: str = 'target',
        margin: float = 0.5,
        weighted: bool = True,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        if negative not in NEGATIVES:
            raise ValueError(f'negative must be one of {NEGATIVES}, got {negative!r}')
        self.negative = negative
        self.margin = margin
        self.weighted = weighted

    def set_stage(self, stage: CurriculumStage) -> None:
        """Take the margin of the curriculum."""
        self.margin = stage.margin

    def compute(self, batch: DomainBatch) -> dict[str, Tensor]:
        """``loss_triplet``."""
        images, texts = batch.source_image, batch.source_text
        own = (images - texts).norm(dim=1)  # (k,)
        nearest = [self._nearest(images, batch, 'image')]
        if self.negative != 'target_image':
            nearest.append(self._nearest(texts, batch, 'text'))
        hinges = sum((own - other + self.margin).clamp(min=0) for other in nearest)
        weights = batch.w_source if self.weighted else torch.full_like(own, 1 / len(own))
        return {'loss_triplet': (weights * hinges).sum()}

    def _nearest(self, anchors: Tensor, batch: DomainBatch, anchor: str) -> Tensor:
        """Distance of each anchor (k,) to its nearest negative; infinity if it has none."""
        if self.negative == 'target_image':
            return distances(anchors, batch.target_image).amin(dim=1)
        other = 'text' if anchor == 'image' else 'image'
        if self.negative == 'target':
            positives = batch.target_text_positives if anchor == 'image' else None
            values = distances(anchors, getattr(batch, f'target_{other}'))
        else:
            positives = batch.source_positives if anchor == 'image' else batch.source_positives.t()
            values = distances(anchors, getattr(batch, f'source_{other}'))
        return (values if positives is None else values.masked_fill(positives, torch.inf)).amin(
            dim=1
        )
