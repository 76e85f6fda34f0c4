"""Fully sharded training, on GPUs or on CPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine._strategy import FSDPStrategy
from torch.distributed.fsdp import FullyShardedDataParallel

from urbancross_mm.registry import STRATEGIES


@STRATEGIES.register_module()
class ShardedStrategy(FSDPStrategy):
    """mmengine's FSDPStrategy with :class:`ShardedDataParallel` and checkpoints in one file.

    A checkpoint is that of any other run: it may be tested, searched with and tuned on one process.
    A run resumes on any number of ranks. :func:`urbancross_mm.apis.build_runner` takes a
    runner of its own for a config with a ``strategy``.

    Args:
        blocks (Sequence[str]): Of :class:`ShardedDataParallel`. Defaults to ().
        model_wrapper (Mapping, optional): More arguments of it. Defaults to None.
        **kwargs: Of mmengine's.

    Examples:
        >>> strategy = dict(type='ShardedStrategy', blocks=['ResidualAttentionBlock'])
    """

    def __init__(
        self,
        blocks: Sequence[str] = (),
        model_wrapper: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        wrapper = dict(model_wrapper or {}, type='ShardedDataParallel', blocks=list(blocks))
        # On a CPU, torch hands out weights that it frees: a copy to the CPU is none there.
        copied = dict(rank0_only=True, offload_to_cpu=torch.cuda.is_available())
        full = dict(
            state_dict_type='FULL_STATE_DICT',
            state_dict_config=dict(type='FullStateDictConfig', **copied),
            optim_state_dict_config=dict(type='FullOptimStateDictConfig', **copied),
        )
        kwargs.setdefault('state_dict_cfg', full)
        super().__init__(model_wrapper=wrapper, **kwargs)

    def load_optim_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Give each rank its part; mmengine calls torch by the order of an older version.

        Args:
            state_dict (dict): Of the whole optimizer.
        """
        optimizer = self.optim_wrapper.optimizer
        part = FullyShardedDataParallel.optim_state_dict_to_load(self.model, optimizer, state_dict)
        self.optim_wrapper.load_state_dict(part)
