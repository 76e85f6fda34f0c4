"""Modules between encoders and head."""

from urbancross_mm.models.necks.segment_pool import MaskedSegmentPool

__all__ = ['MaskedSegmentPool']
