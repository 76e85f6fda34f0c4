"""Records without behavior."""

from urbancross_mm.structures.domain_batch import CurriculumStage, DomainBatch
from urbancross_mm.structures.gallery import Gallery
from urbancross_mm.structures.retrieval_data_sample import RetrievalDataSample
from urbancross_mm.structures.search_hit import SearchHit

__all__ = ['CurriculumStage', 'DomainBatch', 'Gallery', 'SearchHit', 'RetrievalDataSample']
