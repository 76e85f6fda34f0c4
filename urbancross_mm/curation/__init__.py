"""Making a data set from tiles: every stage, and their pipeline."""

from urbancross_mm.curation.caption_stage import CaptionStage
from urbancross_mm.curation.captioners import BaseCaptioner, TemplateCaptioner
from urbancross_mm.curation.deduplicate_stage import DeduplicateStage
from urbancross_mm.curation.filter_stage import FilterStage
from urbancross_mm.curation.pipeline import run_stage
from urbancross_mm.curation.records import DROPPED, FAILED, KEPT, Manifest, Outcome, Picture, Record
from urbancross_mm.curation.refine_stage import RefineStage
from urbancross_mm.curation.report import Report
from urbancross_mm.curation.score_stage import ScoreStage
from urbancross_mm.curation.scorers import BaseScorer, RetrieverScorer
from urbancross_mm.curation.segment_stage import SegmentStage
from urbancross_mm.curation.segmenters import (
    BaseSegmenter,
    ColorSegmenter,
    GridSegmenter,
    SamSegmenter,
)
from urbancross_mm.curation.split_stage import SplitStage
from urbancross_mm.curation.stage import BaseStage, CollectionStage, PictureStage, Workplace
from urbancross_mm.curation.tag_stage import TagStage
from urbancross_mm.curation.tile_stage import TileStage
from urbancross_mm.curation.token_counters import (
    BaseTokenCounter,
    CLIPTokenCounter,
    HuggingFaceTokenCounter,
)
from urbancross_mm.curation.transformers_captioner import TransformersCaptioner

__all__ = [
    'BaseCaptioner',
    'BaseScorer',
    'BaseSegmenter',
    'BaseStage',
    'BaseTokenCounter',
    'CLIPTokenCounter',
    'CaptionStage',
    'CollectionStage',
    'ColorSegmenter',
    'DROPPED',
    'DeduplicateStage',
    'FAILED',
    'FilterStage',
    'GridSegmenter',
    'HuggingFaceTokenCounter',
    'KEPT',
    'Manifest',
    'Outcome',
    'Picture',
    'PictureStage',
    'Record',
    'RefineStage',
    'Report',
    'RetrieverScorer',
    'SamSegmenter',
    'ScoreStage',
    'SegmentStage',
    'SplitStage',
    'TagStage',
    'TemplateCaptioner',
    'TileStage',
    'TransformersCaptioner',
    'Workplace',
    'run_stage',
]
