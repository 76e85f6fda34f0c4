"""Retrievers and their parts."""

from urbancross_mm.models.build import build_part
from urbancross_mm.models.data_preprocessor import RetrievalDataPreprocessor
from urbancross_mm.models.encoders import (
    BackboneEncoder,
    BaseEncoder,
    FeatureEncoder,
    GRUTextEncoder,
    HuggingFaceImageEncoder,
    HuggingFaceTextEncoder,
    OpenCLIPImageEncoder,
    OpenCLIPTextEncoder,
    SegmentTower,
    TextCNNEncoder,
)
from urbancross_mm.models.heads import DomainAdversarialHead, RetrievalHead
from urbancross_mm.models.losses import (
    BaseAdaptationLoss,
    BaseRetrievalLoss,
    CrossDomainTripletLoss,
    DomainDistanceLoss,
    InfoNCELoss,
    OptimalTransportPairingLoss,
    PairwiseRankingLoss,
    PseudoPairLoss,
    SigLIPLoss,
    WeightedDomainAdversarialLoss,
)
from urbancross_mm.models.necks import MaskedSegmentPool
from urbancross_mm.models.retrievers import (
    BaseRetriever,
    CrossModalRetriever,
    DomainAdaptiveRetriever,
    UrbanCross,
)
from urbancross_mm.models.selectors import SimilarSourceSelector

__all__ = [
    'BackboneEncoder',
    'BaseAdaptationLoss',
    'BaseEncoder',
    'BaseRetrievalLoss',
    'BaseRetriever',
    'CrossDomainTripletLoss',
    'CrossModalRetriever',
    'DomainAdaptiveRetriever',
    'DomainAdversarialHead',
    'DomainDistanceLoss',
    'FeatureEncoder',
    'GRUTextEncoder',
    'HuggingFaceImageEncoder',
    'HuggingFaceTextEncoder',
    'InfoNCELoss',
    'MaskedSegmentPool',
    'OpenCLIPImageEncoder',
    'OpenCLIPTextEncoder',
    'OptimalTransportPairingLoss',
    'PairwiseRankingLoss',
    'PseudoPairLoss',
    'RetrievalDataPreprocessor',
    'RetrievalHead',
    'SegmentTower',
    'SigLIPLoss',
    'SimilarSourceSelector',
    'TextCNNEncoder',
    'UrbanCross',
    'WeightedDomainAdversarialLoss',
    'build_part',
]
