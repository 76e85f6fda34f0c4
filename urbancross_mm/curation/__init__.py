"""Making a data set from tiles: every stage, and their pipeline."""

from urbancross_mm.curation.pipeline import Report, run_stage
from urbancross_mm.curation.records import DROPPED, FAILED, KEPT, Manifest, Outcome, Picture, Record
from urbancross_mm.curation.stage import BaseStage, CollectionStage, PictureStage, Workplace

__all__ = [
    'BaseStage', 'CollectionStage', 'DROPPED', 'FAILED', 'KEPT', 'Manifest', 'Outcome', 'Picture',
    'PictureStage', 'Record', 'Report', 'Workplace', 'run_stage',
]
