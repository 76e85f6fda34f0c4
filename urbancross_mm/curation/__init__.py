"""Makes a dataset from tiles: the stages, and the pipeline that runs them."""

from urbancross_mm.curation.captions.captioners import BaseCaptioner, TemplateCaptioner
from urbancross_mm.curation.captions.scorers import BaseScorer, RetrieverScorer
from urbancross_mm.curation.captions.token_counters import (
    BaseTokenCounter,
    CLIPTokenCounter,
    HuggingFaceTokenCounter,
)
from urbancross_mm.curation.captions.transformers_captioner import TransformersCaptioner
from urbancross_mm.curation.core.pipeline import run_stage
from urbancross_mm.curation.core.records import (
    DROPPED,
    FAILED,
    KEPT,
    ImageRecord,
    Manifest,
    Outcome,
    Record,
)
from urbancross_mm.curation.core.report import Report
from urbancross_mm.curation.core.stage import BaseStage, CollectionStage, ImageStage, Workspace
from urbancross_mm.curation.segments.sam_segmenter import SamSegmenter
from urbancross_mm.curation.segments.segmenters import (
    BaseSegmenter,
    ColorSegmenter,
    GridSegmenter,
)
from urbancross_mm.curation.segments.semantic_segmenter import SemanticSegmenter
from urbancross_mm.curation.stages.caption_stage import CaptionStage
from urbancross_mm.curation.stages.deduplicate_stage import DeduplicateStage
from urbancross_mm.curation.stages.export_stage import ExportStage
from urbancross_mm.curation.stages.filter_stage import FilterStage
from urbancross_mm.curation.stages.refine_stage import RefineStage
from urbancross_mm.curation.stages.score_stage import ScoreStage
from urbancross_mm.curation.stages.segment_stage import SegmentStage
from urbancross_mm.curation.stages.split_stage import SplitStage
from urbancross_mm.curation.stages.tag_stage import TagStage
from urbancross_mm.curation.stages.tile_stage import TileStage

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
    'ExportStage',
    'FAILED',
    'FilterStage',
    'GridSegmenter',
    'HuggingFaceTokenCounter',
    'KEPT',
    'Manifest',
    'Outcome',
    'ImageRecord',
    'ImageStage',
    'Record',
    'RefineStage',
    'Report',
    'RetrieverScorer',
    'SamSegmenter',
    'ScoreStage',
    'SegmentStage',
    'SemanticSegmenter',
    'SplitStage',
    'TagStage',
    'TemplateCaptioner',
    'TileStage',
    'TransformersCaptioner',
    'Workspace',
    'run_stage',
]
