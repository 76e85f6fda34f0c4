"""Evaluation: metrics that plug into mmengine's loops."""

from urbancross_mm.evaluation.metrics import (
    EmbeddingMetric,
    LabelFreeMetric,
    ModalGapMetric,
    RecallAtK,
    SegmentationMetric,
)

__all__ = [
    'EmbeddingMetric',
    'LabelFreeMetric',
    'ModalGapMetric',
    'RecallAtK',
    'SegmentationMetric',
]
