"""Whole models."""

from urbancross_mm.models.retrievers.base import BaseRetriever
from urbancross_mm.models.retrievers.cross_modal import CrossModalRetriever
from urbancross_mm.models.retrievers.urbancross import UrbanCross

__all__ = ['BaseRetriever', 'CrossModalRetriever', 'UrbanCross']
