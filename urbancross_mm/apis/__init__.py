"""What a program calls: runs and the inferencer."""

from urbancross_mm.apis.adaptation_report import report_adaptation, report_after_training
from urbancross_mm.apis.retrieval_inferencer import RetrievalInferencer
from urbancross_mm.apis.runs import (
    build_runner,
    config_of,
    resolve_source_checkpoint,
    set_resume,
    use_bfloat16,
)
from urbancross_mm.apis.work_dir import claim_work_dir, discard_failed_start
from urbancross_mm.inference.config import load_config
from urbancross_mm.inference.localization import HeatMap, SemanticLocalizer
from urbancross_mm.inference.search_query import Query

__all__ = [
    'HeatMap',
    'Query',
    'RetrievalInferencer',
    'SemanticLocalizer',
    'build_runner',
    'claim_work_dir',
    'config_of',
    'discard_failed_start',
    'load_config',
    'report_adaptation',
    'report_after_training',
    'resolve_source_checkpoint',
    'set_resume',
    'use_bfloat16',
]
