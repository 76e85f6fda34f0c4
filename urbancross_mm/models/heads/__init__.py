"""Heads: losses of a retriever."""

from urbancross_mm.models.heads.retrieval_head import RetrievalHead

__all__ = ['RetrievalHead']
