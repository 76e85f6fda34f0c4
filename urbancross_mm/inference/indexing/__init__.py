"""From images, annotation files, features and rasters to an index that is kept up to date."""

from urbancross_mm.inference.indexing.builder import IndexBuilder, IndexSummary
from urbancross_mm.inference.indexing.sources import SourceOptions, open_sources

__all__ = ['IndexBuilder', 'IndexSummary', 'SourceOptions', 'open_sources']
