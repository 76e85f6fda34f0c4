"""Evaluation: metrics that plug into mmengine's loops."""

from urbancross_mm.evaluation.metrics import (
    EmbeddingMetric,
    LabelFreeMetric,
    RecallAtK,
    SegmentationMetric,
)

__all__ = ['EmbeddingMetric', 'LabelFreeMetric', 'RecallAtK', 'SegmentationMetric']
