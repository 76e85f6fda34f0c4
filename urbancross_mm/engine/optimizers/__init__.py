"""Optimizer wrappers."""

from urbancross_mm.engine.optimizers.adversarial_optim_wrapper_constructor import (
    AdversarialOptimWrapperConstructor,
)
from urbancross_mm.engine.optimizers.bfloat16_optim_wrapper import BFloat16OptimWrapper

__all__ = ['AdversarialOptimWrapperConstructor', 'BFloat16OptimWrapper']
