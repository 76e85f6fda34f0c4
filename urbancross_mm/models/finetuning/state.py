"""Weights of LoRA and adapters in state dicts: merged, left out, or filled in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from urbancross_mm.models.finetuning.branches import AdapterBranch, LoRABranch
from urbancross_mm.utils.state_dicts import ADAPTER, merge_lora


def fit_state_dict(module: nn.Module, state_dict: dict[str, Any], prefix: str = '') -> None:
    """Make a checkpoint with or without LoRA and adapters fit a model with or without them.

    LoRA that the model lacks is merged. What the checkpoint lacks starts as new: adding nothing, so
    that the model is the one of the checkpoint.

    Args:
        module (nn.Module): The model.
        state_dict (dict): Of the checkpoint; changed in place.
        prefix (str): Of the module's names in it. Defaults to ''.

    Raises:
        ValueError: If the model lacks adapters of the checkpoint, which cannot be merged.
    """
    branches = {
        f'{prefix}{name}': branch
        for name, branch in module.named_modules()
        if isinstance(branch, LoRABranch | AdapterBranch)
    }
    merge_lora(state_dict, frozenset(name.removesuffix('.lora') for name in branches))
    lost = {
        name.rpartition('.')[0]
        for name in state_dict
        if ADAPTER in name and name.startswith(prefix)
    } - branches.keys()
    if lost:
        raise ValueError(
            f'the checkpoint has {len(lost)} adapters that {type(module).__name__} lacks, such as '
            f'{sorted(lost)[0]}: adapters cannot be merged, so keep model.finetune of their run'
        )
    for name, branch in branches.items():
        if any(key.startswith(f'{name}.') for key in state_dict):
            continue
        for part, value in branch.state_dict().items():
            new = part in ('up', 'up_bias')
            state_dict[f'{name}.{part}'] = torch.zeros_like(value) if new else value


def plain_state_dict(module: nn.Module) -> dict[str, Tensor]:
    """The weights of a module as it would be without LoRA and adapters.

    Args:
        module (nn.Module): With or without them.

    Returns:
        dict: LoRA is merged, adapters are left out.
    """
    state_dict = dict(module.state_dict())
    merge_lora(state_dict)
    return {name: value for name, value in state_dict.items() if ADAPTER not in name}
