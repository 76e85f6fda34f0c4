"""Metrics."""

from urbancross_mm.evaluation.metrics.recall_at_k import RecallAtK

__all__ = ['RecallAtK']
