"""Indexes: which rows of a gallery are nearest to a query."""

from urbancross_mm.inference.index.base_index import BaseIndex, SearchResult
from urbancross_mm.inference.index.torch_index import TorchIndex

__all__ = ['BaseIndex', 'SearchResult', 'TorchIndex']
