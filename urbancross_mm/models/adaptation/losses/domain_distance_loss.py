"""Distances of distributions as losses."""

from __future__ import annotations

from torch import Tensor

from urbancross_mm.functional import alignment
from urbancross_mm.models.adaptation.losses.base import BaseAdaptationLoss
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import DomainBatch

DISTANCES = dict(mk_mmd=alignment.mk_mmd, coral=alignment.coral)


@MODELS.register_module()
class DomainDistanceLoss(BaseAdaptationLoss):
    """Distance of the two domains in each modality.

    The embeddings are scaled by the root of their width, so that a coordinate has about unit
    variance, as the features of the papers; MK-MMD does not depend on the scale, CORAL does.

    Args:
        distance (str): 'mk_mmd' or 'coral'; see :mod:`urbancross_mm.functional.alignment`.
            Defaults to 'mk_mmd'.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Raises:
        ValueError: If the distance is unknown.
    """

    def __init__(self, distance: str = 'mk_mmd', loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        if distance not in DISTANCES:
            raise ValueError(f'distance must be one of {tuple(DISTANCES)}, got {distance!r}')
        self.distance = DISTANCES[distance]

    def compute(self, batch: DomainBatch) -> dict[str, Tensor]:
        """``loss_distance_image`` and ``loss_distance_text``."""
        scale = batch.source_image.shape[1] ** 0.5
        return {
            f'loss_distance_{modality}': self.distance(
                scale * getattr(batch, f'source_{modality}'),
                scale * getattr(batch, f'target_{modality}'),
            )
            for modality in ('image', 'text')
        }
