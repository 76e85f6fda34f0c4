"""Heads: losses of a retriever."""

from urbancross_mm.models.heads.retrieval_head import (
    BatchIds,
    RetrievalHead,
    batch_ids,
    gather_ids,
    positives,
    select_ids,
)

__all__ = [
    'BatchIds',
    'RetrievalHead',
    'batch_ids',
    'gather_ids',
    'positives',
    'select_ids',
]
