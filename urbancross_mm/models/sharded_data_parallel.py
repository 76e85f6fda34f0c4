"""Weights, gradients and optimizer states shared out over the processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.model.wrappers import MMFullyShardedDataParallel
from torch import Tensor, nn
from torch.distributed import all_reduce
from torch.distributed.fsdp.wrap import ModuleWrapPolicy

from urbancross_mm.models.finetuning.branches import AdapterBranch, has_lora_inside
from urbancross_mm.registry import MODEL_WRAPPERS
from urbancross_mm.utils.dist import copy_from_first


@MODEL_WRAPPERS.register_module()
class ShardedDataParallel(MMFullyShardedDataParallel):
    """mmengine's FullyShardedDataParallel, for models with a learned scale.

    torch's FSDP refuses parameters without a dimension, which a contrastive loss has. They stay
    whole on every rank, and their gradient is averaged as DistributedDataParallel does it. So does
    the middle layer that adapters share.

    Args:
        module (nn.Module): The model, equal on every rank.
        blocks (Sequence[str]): Names of the classes whose instances are sharded on their own, such
            as 'ResidualAttentionBlock' of open_clip: only the block at work is whole in memory.
            Defaults to (): the model is whole during a step, and only gradients and states of the
            optimizer are shared out.
        **kwargs: Of mmengine's, such as ``sharding_strategy`` and ``cpu_offload``.

    Raises:
        ValueError: If the model has no module of a class named in ``blocks``, or LoRA in the
            attention of torch.

    Attributes:
        whole: The model as a checkpoint of it looks: ``state_dict`` has the shapes of the weights,
            of which this rank holds a part.

    Examples:
        >>> strategy = dict(type='ShardedStrategy', blocks=['ResidualAttentionBlock'])
    """

    def __init__(self, module: nn.Module, blocks: Sequence[str] = (), **kwargs: Any) -> None:
        _check_lora(module)
        unsharded = _unsharded(module)
        copy_from_first((*module.parameters(), *module.buffers()))
        for weight in unsharded:
            if weight.requires_grad:
                weight.register_post_accumulate_grad_hook(_average)
        if not torch.cuda.is_available():
            kwargs['device_id'] = torch.device('cpu')
        if blocks:
            kwargs['auto_wrap_policy'] = ModuleWrapPolicy(_classes(module, blocks))
        whole = _Whole(module)
        super().__init__(module, ignored_states=unsharded, **kwargs)
        self.whole = whole


class _Whole:
    """A model with shapes for weights."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._shapes = {
            name: torch.empty_like(value, device='meta')
            for name, value in module.state_dict().items()
        }
        # Messages name the class of the model.
        self.__class__ = type(type(module).__name__, (_Whole,), {})

    def state_dict(self) -> dict[str, Tensor]:
        """Shapes by name."""
        return dict(self._shapes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _unsharded(module: nn.Module) -> list[nn.Parameter]:
    """What stays whole: scalars, and the layer of an adapter that others use from elsewhere."""
    weights = [weight for weight in module.parameters() if weight.dim() == 0]
    for part in module.modules():
        middle = getattr(part, 'middle', None) if isinstance(part, AdapterBranch) else None
        weights += [] if middle is None else [middle]
    return weights


def _check_lora(module: nn.Module) -> None:
    names = [name for name, part in module.named_modules() if has_lora_inside(part)]
    if names:
        raise ValueError(
            f'LoRA in the attention of torch, such as {names[0]}, cannot be sharded: train it with '
            'DistributedDataParallel (frozen weights have no optimizer states to share out), or '
            'name layers without attn in lora.targets'
        )


def _average(weight: Tensor) -> None:
    """Of what was accumulated before, the mean is what it was."""
    if weight.grad is not None:
        all_reduce(weight.grad)
        weight.grad /= get_world_size()


def _classes(module: nn.Module, names: Sequence[str]) -> set[type[nn.Module]]:
    found = {type(part) for part in module.modules() if type(part).__name__ in names}
    missing = set(names) - {kind.__name__ for kind in found}
    if missing:
        there = sorted({type(part).__name__ for part in module.modules()})
        raise ValueError(
            f'blocks names {", ".join(sorted(missing))}, and {type(module).__name__} has no such '
            f'module, only {", ".join(there)}'
        )
    return found
