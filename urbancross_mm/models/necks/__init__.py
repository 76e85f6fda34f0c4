"""Modules between encoders and head."""

from urbancross_mm.models.necks.adaptive_multiscale_weighting import AdaptiveMultiscaleWeighting
from urbancross_mm.models.necks.multiscale_visual_neck import MultiscaleVisualNeck
from urbancross_mm.models.necks.segment_pool import MaskedSegmentPool
from urbancross_mm.models.necks.semantic_spatial_attention import SemanticSpatialAttention
from urbancross_mm.models.necks.shared_pattern_transfer import SharedPatternTransfer
from urbancross_mm.models.necks.visual_guided_attention import VisualGuidedAttention

__all__ = [
    'AdaptiveMultiscaleWeighting',
    'MaskedSegmentPool',
    'MultiscaleVisualNeck',
    'SemanticSpatialAttention',
    'SharedPatternTransfer',
    'VisualGuidedAttention',
]
