"""Whole models."""

from urbancross_mm.models.retrievers.base import BaseRetriever
from urbancross_mm.models.retrievers.cross_modal import CrossModalRetriever
from urbancross_mm.models.retrievers.image_pyramid import ImagePyramid
from urbancross_mm.models.retrievers.sirs import SIRS
from urbancross_mm.models.retrievers.urbancross import UrbanCross

__all__ = ['SIRS', 'BaseRetriever', 'CrossModalRetriever', 'ImagePyramid', 'UrbanCross']
