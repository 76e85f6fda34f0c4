"""Records without behaviour."""

from urbancross_mm.structures.retrieval_data_sample import RetrievalDataSample

__all__ = ['RetrievalDataSample']
