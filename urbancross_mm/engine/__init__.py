"""What runs around the model: hooks, optimizer wrappers, the checkpoint backend."""

from urbancross_mm.engine.checkpoint_backend import (
    AtomicBackend,
    find_resumable,
    remove_leftovers,
)
from urbancross_mm.engine.hooks import (
    CheckpointGuardHook,
    EpochSeedHook,
    GradientReversalHook,
    MidEpochHook,
    MinStepsHook,
    RetrievalVisualizationHook,
    SourceCurriculumHook,
    TargetBatchNormHook,
    TrainingGuardHook,
    seed_worker,
)
from urbancross_mm.engine.optimizers import BFloat16OptimWrapper

__all__ = [
    'AtomicBackend',
    'BFloat16OptimWrapper',
    'CheckpointGuardHook',
    'EpochSeedHook',
    'GradientReversalHook',
    'MidEpochHook',
    'MinStepsHook',
    'RetrievalVisualizationHook',
    'SourceCurriculumHook',
    'TargetBatchNormHook',
    'TrainingGuardHook',
    'find_resumable',
    'remove_leftovers',
    'seed_worker',
]
