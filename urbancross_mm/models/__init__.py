"""Retrievers and their parts."""

from urbancross_mm.models.adaptation import (
    BaseAdaptationLoss,
    CrossDomainTripletLoss,
    DomainAdaptation,
    DomainAdversarialHead,
    DomainDistanceLoss,
    OptimalTransportPairingLoss,
    PseudoPairLoss,
    SimilarSourceSelector,
    WeightedDomainAdversarialLoss,
)
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
    SkipThoughtsEncoder,
    TextCNNEncoder,
)
from urbancross_mm.models.heads import LiteFPNHead, MaskedImageHead, RetrievalHead
from urbancross_mm.models.losses import (
    BaseRetrievalLoss,
    InfoNCELoss,
    PairwiseRankingLoss,
    PixelFocalLoss,
    SigLIPLoss,
)
from urbancross_mm.models.necks import (
    AdaptiveMultiscaleWeighting,
    MaskedSegmentPool,
    MultiscaleVisualNeck,
    SemanticSpatialAttention,
)
from urbancross_mm.models.retrievers import (
    SIRS,
    BaseRetriever,
    CrossModalRetriever,
    ImagePyramid,
    UrbanCross,
)

__all__ = [
    'SIRS',
    'AdaptiveMultiscaleWeighting',
    'BackboneEncoder',
    'BaseAdaptationLoss',
    'BaseEncoder',
    'BaseRetrievalLoss',
    'BaseRetriever',
    'CrossDomainTripletLoss',
    'CrossModalRetriever',
    'DomainAdaptation',
    'DomainAdversarialHead',
    'DomainDistanceLoss',
    'FeatureEncoder',
    'GRUTextEncoder',
    'HuggingFaceImageEncoder',
    'HuggingFaceTextEncoder',
    'ImagePyramid',
    'InfoNCELoss',
    'LiteFPNHead',
    'MaskedImageHead',
    'MaskedSegmentPool',
    'MultiscaleVisualNeck',
    'OpenCLIPImageEncoder',
    'OpenCLIPTextEncoder',
    'OptimalTransportPairingLoss',
    'PairwiseRankingLoss',
    'PixelFocalLoss',
    'PseudoPairLoss',
    'RetrievalDataPreprocessor',
    'RetrievalHead',
    'SegmentTower',
    'SemanticSpatialAttention',
    'SigLIPLoss',
    'SimilarSourceSelector',
    'SkipThoughtsEncoder',
    'TextCNNEncoder',
    'UrbanCross',
    'WeightedDomainAdversarialLoss',
    'build_part',
]
