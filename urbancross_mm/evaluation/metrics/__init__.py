"""Metrics."""

from urbancross_mm.evaluation.metrics.embedding_metric import EmbeddingMetric
from urbancross_mm.evaluation.metrics.label_free_metric import LabelFreeMetric
from urbancross_mm.evaluation.metrics.modal_gap_metric import ModalGapMetric
from urbancross_mm.evaluation.metrics.recall_at_k import RecallAtK
from urbancross_mm.evaluation.metrics.segmentation_metric import SegmentationMetric
from urbancross_mm.evaluation.metrics.semantic_localization_metric import (
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
