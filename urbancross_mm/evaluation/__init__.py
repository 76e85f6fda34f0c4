"""Evaluation: metrics that plug into mmengine's loops."""

from urbancross_mm.evaluation.metrics import (
    EmbeddingMetric,
    LabelFreeMetric,
    ModalGapMetric,
    RecallAtK,
    SegmentationMetric,
    SemanticLocalizationMetric,
)

__all__ = [
    'EmbeddingMetric',
    'LabelFreeMetric',
    'ModalGapMetric',
    'RecallAtK',
    'SegmentationMetric',
    'SemanticLocalizationMetric',
]
