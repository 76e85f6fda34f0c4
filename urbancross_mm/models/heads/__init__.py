"""Heads: losses of a retriever, and a decode head."""

from urbancross_mm.models.heads.lite_fpn_head import LiteFPNHead
from urbancross_mm.models.heads.retrieval_head import RetrievalHead

__all__ = ['LiteFPNHead', 'RetrievalHead']
