"""Losses on embeddings."""

from urbancross_mm.models.losses.base import BaseRetrievalLoss
from urbancross_mm.models.losses.feature_losses import (
    BaseFeatureLoss,
    ConsistencyLoss,
    FeatureDistillationLoss,
    FeatureLengthLoss,
    MKMMDLoss,
    ModalConfusionLoss,
)
from urbancross_mm.models.losses.info_nce_loss import InfoNCELoss
from urbancross_mm.models.losses.pairwise_ranking_loss import PairwiseRankingLoss
from urbancross_mm.models.losses.pixel_focal_loss import PixelFocalLoss
from urbancross_mm.models.losses.siglip_loss import SigLIPLoss

__all__ = [
    'BaseFeatureLoss',
    'BaseRetrievalLoss',
    'ConsistencyLoss',
    'FeatureDistillationLoss',
    'FeatureLengthLoss',
    'InfoNCELoss',
    'MKMMDLoss',
    'ModalConfusionLoss',
    'PairwiseRankingLoss',
    'PixelFocalLoss',
    'SigLIPLoss',
]
