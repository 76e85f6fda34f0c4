"""Hooks."""

from urbancross_mm.engine.hooks.checkpoint_guard_hook import CheckpointGuardHook
from urbancross_mm.engine.hooks.epoch_seed_hook import EpochSeedHook, seed_worker
from urbancross_mm.engine.hooks.retrieval_visualization_hook import RetrievalVisualizationHook

__all__ = ['CheckpointGuardHook', 'EpochSeedHook', 'RetrievalVisualizationHook', 'seed_worker']
