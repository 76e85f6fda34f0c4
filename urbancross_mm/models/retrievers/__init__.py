"""Whole models."""

from urbancross_mm.models.retrievers.amfmn import AMFMN
from urbancross_mm.models.retrievers.base import BaseRetriever
from urbancross_mm.models.retrievers.cross_modal import CrossModalRetriever
from urbancross_mm.models.retrievers.image_pyramid import ImagePyramid
from urbancross_mm.models.retrievers.mcrn import MCRN
from urbancross_mm.models.retrievers.mcrn_pretrainer import MCRNPretrainer
from urbancross_mm.models.retrievers.sirs import SIRS
from urbancross_mm.models.retrievers.urbancross import UrbanCross

__all__ = [
    'AMFMN',
    'MCRN',
    'SIRS',
    'BaseRetriever',
    'CrossModalRetriever',
    'ImagePyramid',
    'MCRNPretrainer',
    'UrbanCross',
]
