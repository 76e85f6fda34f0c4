"""What adds an unpaired target to a retriever."""

from urbancross_mm.models.adaptation.adaptation import DomainAdaptation
from urbancross_mm.models.adaptation.adversarial_head import DomainAdversarialHead
from urbancross_mm.models.adaptation.losses import (
    BaseAdaptationLoss,
    CrossDomainTripletLoss,
    DomainDistanceLoss,
    OptimalTransportPairingLoss,
    PlannedPairingLoss,
    PseudoPairLoss,
    WeightedDomainAdversarialLoss,
)
from urbancross_mm.models.adaptation.selector import SimilarSourceSelector
from urbancross_mm.models.adaptation.snapshot import FrozenSnapshot

__all__ = [
    'BaseAdaptationLoss',
    'CrossDomainTripletLoss',
    'DomainAdaptation',
    'DomainAdversarialHead',
    'DomainDistanceLoss',
    'FrozenSnapshot',
    'OptimalTransportPairingLoss',
    'PlannedPairingLoss',
    'PseudoPairLoss',
    'SimilarSourceSelector',
    'WeightedDomainAdversarialLoss',
]
