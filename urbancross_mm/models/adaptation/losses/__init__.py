"""Losses between a source with pairs and a target without."""

from urbancross_mm.models.adaptation.losses.base import BaseAdaptationLoss
from urbancross_mm.models.adaptation.losses.cross_domain_triplet_loss import CrossDomainTripletLoss
from urbancross_mm.models.adaptation.losses.domain_distance_loss import DomainDistanceLoss
from urbancross_mm.models.adaptation.losses.pairing_loss import (
    OptimalTransportPairingLoss,
    PseudoPairLoss,
)
from urbancross_mm.models.adaptation.losses.planned_pairing_loss import PlannedPairingLoss
from urbancross_mm.models.adaptation.losses.weighted_domain_adversarial_loss import (
    WeightedDomainAdversarialLoss,
)

__all__ = [
    'BaseAdaptationLoss',
    'CrossDomainTripletLoss',
    'DomainDistanceLoss',
    'OptimalTransportPairingLoss',
    'PlannedPairingLoss',
    'PseudoPairLoss',
    'WeightedDomainAdversarialLoss',
]
