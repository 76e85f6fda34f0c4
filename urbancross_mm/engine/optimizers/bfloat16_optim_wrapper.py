"""bfloat16 training on any device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn

from urbancross_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """An ``OptimWrapper`` whose forward pass runs under bfloat16 autocast, on CPU and GPU.

    mmengine's ``AmpOptimWrapper`` refuses to run without a GPU. bfloat16 has float32's range, so
    no gradient scaler is needed. Similarities and losses stay in float32 (they ask for it).

    Examples:
        >>> optim_wrapper = dict(type='BFloat16OptimWrapper', optimizer=dict(type='Adam', lr=1e-5))
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast the forward pass; gradient accumulation works as in the parent class."""
        device = get_device().split(':')[0]
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield
