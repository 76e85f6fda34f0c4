"""Training a part of the weights, or few new ones."""

from urbancross_mm.models.finetuning.apply import apply_finetuning, keep_frozen_in_eval
from urbancross_mm.models.finetuning.blocks import find_blocks, layer_depths
from urbancross_mm.models.finetuning.state import fit_state_dict, merge_lora

__all__ = [
    'apply_finetuning',
    'find_blocks',
    'fit_state_dict',
    'keep_frozen_in_eval',
    'layer_depths',
    'merge_lora',
]
