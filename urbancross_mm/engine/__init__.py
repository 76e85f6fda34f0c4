"""What runs around the model: hooks, optimizer wrappers, the checkpoint backend."""

from urbancross_mm.engine.checkpoint_backend import (
    AtomicBackend,
    find_resumable,
    remove_leftovers,
)
from urbancross_mm.engine.hooks.checkpoint_guard_hook import CheckpointGuardHook
from urbancross_mm.engine.hooks.epoch_seed_hook import EpochSeedHook, seed_worker
from urbancross_mm.engine.hooks.gradient_reversal_hook import GradientReversalHook
from urbancross_mm.engine.hooks.mid_epoch_hook import MidEpochHook
from urbancross_mm.engine.hooks.min_steps_hook import MinStepsHook
from urbancross_mm.engine.hooks.retrieval_visualization_hook import RetrievalVisualizationHook
from urbancross_mm.engine.hooks.source_curriculum_hook import SourceCurriculumHook
from urbancross_mm.engine.hooks.target_batch_norm_hook import TargetBatchNormHook
from urbancross_mm.engine.hooks.target_plan_hook import TargetPlanHook
from urbancross_mm.engine.hooks.training_guard_hook import TrainingGuardHook
from urbancross_mm.engine.optimizers import (
    AdversarialOptimWrapperConstructor,
    BFloat16OptimWrapper,
)
from urbancross_mm.engine.sharded_strategy import ShardedStrategy

__all__ = [
    'AdversarialOptimWrapperConstructor',
    'AtomicBackend',
    'BFloat16OptimWrapper',
    'CheckpointGuardHook',
    'EpochSeedHook',
    'GradientReversalHook',
    'MidEpochHook',
    'MinStepsHook',
    'RetrievalVisualizationHook',
    'ShardedStrategy',
    'SourceCurriculumHook',
    'TargetBatchNormHook',
    'TargetPlanHook',
    'TrainingGuardHook',
    'find_resumable',
    'remove_leftovers',
    'seed_worker',
]
