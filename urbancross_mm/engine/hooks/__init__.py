"""Hooks."""

from urbancross_mm.engine.hooks.checkpoint_guard_hook import CheckpointGuardHook
from urbancross_mm.engine.hooks.epoch_seed_hook import EpochSeedHook, seed_worker
from urbancross_mm.engine.hooks.gradient_reversal_hook import GradientReversalHook
from urbancross_mm.engine.hooks.mid_epoch_hook import MidEpochHook
from urbancross_mm.engine.hooks.min_steps_hook import MinStepsHook
from urbancross_mm.engine.hooks.retrieval_visualization_hook import RetrievalVisualizationHook
from urbancross_mm.engine.hooks.source_curriculum_hook import SourceCurriculumHook
from urbancross_mm.engine.hooks.target_batch_norm_hook import TargetBatchNormHook
from urbancross_mm.engine.hooks.training_guard_hook import TrainingGuardHook

__all__ = [
    'CheckpointGuardHook',
    'EpochSeedHook',
    'GradientReversalHook',
    'MidEpochHook',
    'MinStepsHook',
    'RetrievalVisualizationHook',
    'SourceCurriculumHook',
    'TargetBatchNormHook',
    'TrainingGuardHook',
    'seed_worker',
]
