"""Selection of source samples."""

from urbancross_mm.models.selectors.frozen_snapshot import FrozenSnapshot
from urbancross_mm.models.selectors.similar_source_selector import SimilarSourceSelector

__all__ = ['FrozenSnapshot', 'SimilarSourceSelector']
