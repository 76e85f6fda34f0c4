"""Retrievers and their parts."""

from urbancross_mm.models.build import build_part
from urbancross_mm.models.data_preprocessor import RetrievalDataPreprocessor
from urbancross_mm.models.encoders import (
    BackboneEncoder,
    BaseEncoder,
    GRUTextEncoder,
    HuggingFaceTextEncoder,
    OpenCLIPImageEncoder,
    OpenCLIPTextEncoder,
    SegmentTower,
    TextCNNEncoder,
)
from urbancross_mm.models.heads import RetrievalHead
from urbancross_mm.models.losses import (
    BaseRetrievalLoss,
    InfoNCELoss,
    PairwiseRankingLoss,
    SigLIPLoss,
)
from urbancross_mm.models.necks import MaskedSegmentPool
from urbancross_mm.models.retrievers import BaseRetriever, CrossModalRetriever, UrbanCross

__all__ = [
    'BackboneEncoder', 'BaseEncoder', 'BaseRetriever', 'BaseRetrievalLoss', 'CrossModalRetriever',
    'GRUTextEncoder', 'HuggingFaceTextEncoder', 'InfoNCELoss', 'MaskedSegmentPool',
    'OpenCLIPImageEncoder', 'OpenCLIPTextEncoder', 'PairwiseRankingLoss',
    'RetrievalDataPreprocessor', 'RetrievalHead', 'SegmentTower', 'SigLIPLoss', 'TextCNNEncoder',
    'UrbanCross', 'build_part',
]
