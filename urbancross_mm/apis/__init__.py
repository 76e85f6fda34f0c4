"""What a program calls: configs, runs, and inference."""

from urbancross_mm.apis.config import apply_overlay, for_checkpoint, load_config
from urbancross_mm.apis.pictures import list_pictures
from urbancross_mm.apis.retrieval_inferencer import RetrievalInferencer, test_pipeline_of
from urbancross_mm.apis.runs import (
    add_common_arguments,
    add_run_arguments,
    build_runner,
    config_of,
    resolve_checkpoint,
    use_bfloat16,
)
from urbancross_mm.apis.sample import SAMPLE_ROOT, ensure_sample

__all__ = [
    'RetrievalInferencer', 'SAMPLE_ROOT', 'add_common_arguments', 'add_run_arguments',
    'apply_overlay', 'build_runner', 'config_of', 'ensure_sample', 'for_checkpoint',
    'list_pictures', 'load_config', 'resolve_checkpoint', 'test_pipeline_of', 'use_bfloat16',
]
