"""Losses on embeddings."""

from urbancross_mm.models.losses.adaptation import BaseAdaptationLoss
from urbancross_mm.models.losses.base import BaseRetrievalLoss
from urbancross_mm.models.losses.cross_domain_triplet_loss import CrossDomainTripletLoss
from urbancross_mm.models.losses.domain_distance_loss import DomainDistanceLoss
from urbancross_mm.models.losses.info_nce_loss import InfoNCELoss
from urbancross_mm.models.losses.pairing_loss import OptimalTransportPairingLoss, PseudoPairLoss
from urbancross_mm.models.losses.pairwise_ranking_loss import PairwiseRankingLoss
from urbancross_mm.models.losses.siglip_loss import SigLIPLoss
from urbancross_mm.models.losses.weighted_domain_adversarial_loss import (
    WeightedDomainAdversarialLoss,
)

__all__ = [
    'BaseAdaptationLoss',
    'BaseRetrievalLoss',
    'CrossDomainTripletLoss',
    'DomainDistanceLoss',
    'InfoNCELoss',
    'OptimalTransportPairingLoss',
    'PairwiseRankingLoss',
    'PseudoPairLoss',
    'SigLIPLoss',
    'WeightedDomainAdversarialLoss',
]
