"""Less memory for a network: its blocks are computed again on the way back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from urbancross_mm.models.finetuning.blocks import find_blocks
from urbancross_mm.utils.batch_norm import statistics_kept


class _Checkpointed:
    """A block that keeps its inputs alone; its class is mixed with this one."""

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Of the block. BatchNorm remembers the first pass and not the second."""
        if not torch.is_grad_enabled():
            return super().forward(*args, **kwargs)  # type: ignore[misc]

        def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
            return nullcontext(), statistics_kept(self)

        return checkpoint(
            super().forward,  # type: ignore[misc]
            *args,
            use_reentrant=False,
            context_fn=contexts,
            **kwargs,
        )


@cache
def _checkpointed(kind: type[nn.Module]) -> type[nn.Module]:
    return type(kind.__name__, (_Checkpointed, kind), {})


def checkpoint_blocks(model: nn.Module, parts: Sequence[str]) -> int:
    """Compute the blocks of some parts again on the way back.

    A block keeps its name and its weights, and a copy of it works by itself. Any block does, unlike
    mmengine's ``activation_checkpointing``, which takes neither keyword arguments nor a part that
    reads the batch.

    Args:
        model (nn.Module): A model.
        parts (Sequence[str]): Names of its networks: ``['image_encoder']``.

    Returns:
        int: How many blocks there are.

    Raises:
        ValueError: If a part does not exist, or has no blocks.
    """
    if isinstance(parts, str) or not isinstance(parts, Sequence):
        raise ValueError(f'activation_checkpointing must be a list of parts, got {parts!r}')
    count = 0
    for part in parts:
        known = dict(model.named_modules())
        blocks = find_blocks(known[part]) if part in known else []
        if not blocks:
            children = ', '.join(name for name, _ in model.named_children())
            raise ValueError(
                f'activation_checkpointing names {part!r}, which has no blocks in '
                f'{type(model).__name__}; its parts are {children}'
            )
        for name in blocks:
            block = known[part].get_submodule(name)
            if not isinstance(block, _Checkpointed):
                block.__class__ = _checkpointed(type(block))  # type: ignore[arg-type]
        count += len(blocks)
    return count
