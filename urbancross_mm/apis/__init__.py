"""What a program calls: configs, runs, and inference."""

from urbancross_mm.apis.retrieval_inferencer import RetrievalInferencer
from urbancross_mm.apis.runs import (
    add_common_arguments,
    add_run_arguments,
    build_runner,
    config_of,
    resolve_checkpoint,
    resolve_source_checkpoint,
    set_resume,
    use_bfloat16,
)
from urbancross_mm.apis.work_dir import claim_work_dir
from urbancross_mm.inference.config import for_checkpoint, load_config, test_pipeline_of
from urbancross_mm.inference.domain_embeds import DomainEmbeds, compare_domains, embed_test_set
from urbancross_mm.inference.image_files import list_images, read_query
from urbancross_mm.inference.overlay import apply_overlay
from urbancross_mm.toy.ensure import SAMPLE_ROOT, ensure_sample

__all__ = [
    'DomainEmbeds',
    'RetrievalInferencer',
    'SAMPLE_ROOT',
    'add_common_arguments',
    'add_run_arguments',
    'apply_overlay',
    'build_runner',
    'claim_work_dir',
    'compare_domains',
    'config_of',
    'embed_test_set',
    'ensure_sample',
    'for_checkpoint',
    'list_images',
    'load_config',
    'read_query',
    'resolve_checkpoint',
    'resolve_source_checkpoint',
    'set_resume',
    'test_pipeline_of',
    'use_bfloat16',
]
