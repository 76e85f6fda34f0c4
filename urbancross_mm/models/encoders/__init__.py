"""Encoders of one modality."""

from urbancross_mm.models.encoders.backbone import BackboneEncoder
from urbancross_mm.models.encoders.base import BaseEncoder
from urbancross_mm.models.encoders.feature import FeatureEncoder
from urbancross_mm.models.encoders.huggingface_image import HuggingFaceImageEncoder
from urbancross_mm.models.encoders.huggingface_text import HuggingFaceTextEncoder
from urbancross_mm.models.encoders.open_clip import OpenCLIPImageEncoder, OpenCLIPTextEncoder
from urbancross_mm.models.encoders.segment_tower import SegmentTower
from urbancross_mm.models.encoders.skip_thoughts import SkipThoughtsEncoder
from urbancross_mm.models.encoders.text import GRUTextEncoder, TextCNNEncoder

__all__ = [
    'BackboneEncoder',
    'BaseEncoder',
    'FeatureEncoder',
    'GRUTextEncoder',
    'HuggingFaceImageEncoder',
    'HuggingFaceTextEncoder',
    'OpenCLIPImageEncoder',
    'OpenCLIPTextEncoder',
    'SegmentTower',
    'SkipThoughtsEncoder',
    'TextCNNEncoder',
]
