"""Evaluation: metrics that plug into mmengine's loops."""

from urbancross_mm.evaluation.metrics import RecallAtK

__all__ = ['RecallAtK']
