"""Records without behaviour."""

from urbancross_mm.structures.gallery import Gallery
from urbancross_mm.structures.ranked_picture import RankedPicture
from urbancross_mm.structures.retrieval_data_sample import RetrievalDataSample

__all__ = ['Gallery', 'RankedPicture', 'RetrievalDataSample']
