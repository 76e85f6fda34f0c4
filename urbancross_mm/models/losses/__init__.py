"""Losses on embeddings."""

from urbancross_mm.models.losses.base import BaseRetrievalLoss
from urbancross_mm.models.losses.info_nce_loss import InfoNCELoss
from urbancross_mm.models.losses.pairwise_ranking_loss import PairwiseRankingLoss
from urbancross_mm.models.losses.pixel_focal_loss import PixelFocalLoss
from urbancross_mm.models.losses.siglip_loss import SigLIPLoss

__all__ = [
    'BaseRetrievalLoss',
    'InfoNCELoss',
    'PairwiseRankingLoss',
    'PixelFocalLoss',
    'SigLIPLoss',
]
