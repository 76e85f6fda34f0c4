"""Optimizer wrappers."""

from urbancross_mm.engine.optimizers.bfloat16_optim_wrapper import BFloat16OptimWrapper

__all__ = ['BFloat16OptimWrapper']
