"""Records without behaviour."""

from urbancross_mm.structures.domain_batch import CurriculumStage, DomainBatch
from urbancross_mm.structures.gallery import Gallery
from urbancross_mm.structures.ranked_picture import RankedPicture
from urbancross_mm.structures.retrieval_data_sample import RetrievalDataSample

__all__ = ['CurriculumStage', 'DomainBatch', 'Gallery', 'RankedPicture', 'RetrievalDataSample']
