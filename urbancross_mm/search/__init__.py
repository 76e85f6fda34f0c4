"""Indexes: which rows of a gallery are nearest to a query."""

from urbancross_mm.search.base_index import BaseIndex, SearchResult
from urbancross_mm.search.torch_index import TorchIndex

__all__ = ['BaseIndex', 'SearchResult', 'TorchIndex']
