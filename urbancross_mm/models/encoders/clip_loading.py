"""Loading the weights of CLIP models, whatever layout they were saved in."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from urbancross_mm.models.encoders.clip_layouts import ABOUT, JOINT, is_of_openai, to_two_towers
from urbancross_mm.models.encoders.clip_weights import (
    FOLDER_WEIGHTS,
    WEIGHT_SUFFIXES,
    reason,
    weights_in,
)
from urbancross_mm.utils.checkpoints import read_state_dict
from urbancross_mm.utils.state_dicts import (
    compare_state_dicts,
    count_parts,
    load_report,
    merge_lora,
)

TOWERS = ('visual.', 'text.')


def read_weights(path: str | Path) -> dict[str, Any]:
    """Read a state dict from a file, or from a folder of transformers or open_clip.

    Args:
        path (str | Path): A file, or a folder with a weights file or the parts of one.

    Returns:
        dict[str, Tensor]: Under the names that they have there.

    Raises:
        FileNotFoundError: If there is no such file, or none in the folder.
        ValueError: If it is refused, or the folder holds several weights files.
    """
    if not os.path.isdir(path):
        weights = dict(read_state_dict(path))
        merge_lora(weights)  # of a run of this package
        return weights
    whole = any(Path(path, name).is_file() for name in FOLDER_WEIGHTS)
    if not whole and (parts := sorted(Path(path).glob('*.index.json'))):
        names = set(_read_index(parts[0]).values())
        return {
            name: value
            for part in sorted(names)
            for name, value in read_state_dict(Path(path, Path(part).name)).items()
        }
    file = weights_in(str(path), f'the folder {path}')
    if file is None:
        raise FileNotFoundError(f'no weights ({", ".join(WEIGHT_SUFFIXES)}) in the folder {path}')
    return read_state_dict(file)


def load_weights(model: nn.Module, path: str, what: str) -> str:
    """Load the weights of a whole model, whatever layout they were saved in.

    Args:
        model (nn.Module): A ``CustomTextCLIP``.
        path (str): File of ``torch.save``, ``torch.jit.save``, safetensors, or of big_vision
            (``.npz``); or a folder of transformers.
        what (str): Name of the model, for messages.

    Returns:
        str: One line on what was loaded, missing or unexpected.

    Raises:
        ValueError: If the file cannot be read, or holds another model's weights.
    """
    from open_clip import load_checkpoint
    from open_clip.convert import convert_state_dict

    try:
        if Path(path).suffix in ('.npz', '.npy'):
            load_checkpoint(model, path)
            return f'loaded {path}'
        weights = read_weights(path)
        check_activation(model, weights)
        converted = fit_towers(model, to_two_towers(convert_state_dict(model, weights)))
        unused = _without_others(converted, model)
        _check_fit(model, converted, unused)
        model.load_state_dict(converted)
    # What the conversions and load_state_dict raise, besides the reader's ValueError.
    except (ValueError, RuntimeError, AttributeError, KeyError, AssertionError) as error:
        why = ValueError(str(error).removeprefix(f'cannot read the checkpoint {path}: '))
        raise ValueError(f'{path!r} does not hold weights of {what}: {reason(why)}') from error
    return load_report(model.state_dict(), converted, path, unused)


def fit_towers(model: Any, weights: dict[str, Any]) -> dict[str, Any]:
    """Give position embeddings the size of the model's, as open_clip and timm do it.

    Args:
        model (Any): Its towers are ``visual`` and ``text``; either may be missing.
        weights (dict): Of two towers; changed in place.

    Returns:
        dict[str, Tensor]: The weights.
    """
    from open_clip.model import resize_pos_embed, resize_text_pos_embed

    if hasattr(model, 'visual'):
        resize_pos_embed(weights, model)
        _resize_timm(weights, model.visual)
    positions = getattr(getattr(model, 'text', None), 'positional_embedding', None)
    given = weights.get('text.positional_embedding')
    # Of another width it is of another model.
    if positions is not None and given is not None and given.shape[1:] == positions.shape[1:]:
        resize_text_pos_embed(weights, model)
    return weights


def check_activation(model: nn.Module, weights: Mapping[str, Any]) -> None:
    """Refuse weights of OpenAI in a model with another activation.

    Args:
        model (nn.Module): A model of open_clip, or one of its towers.
        weights (Mapping): A state dict as its file holds it.

    Raises:
        ValueError: If the weights say that they are OpenAI's, and the model has no ``QuickGELU``.
    """
    if is_of_openai(weights) and not computes_quick_gelu(model):
        raise ValueError(
            'weights of OpenAI need QuickGELU: set force_quick_gelu=True in both '
            "encoders, or a model_name such as 'ViT-B-32-quickgelu'"
        )


def computes_quick_gelu(model: nn.Module) -> bool:
    """Whether the activations of a model are those of OpenAI's.

    Args:
        model (nn.Module): Of open_clip.

    Returns:
        bool: True with any ``QuickGELU``.
    """
    return any(type(module).__name__ == 'QuickGELU' for module in model.modules())


def _resize_timm(weights: dict[str, Any], tower: Any) -> None:
    """What timm does for its own checkpoints."""
    name = 'visual.trunk.pos_embed'
    trunk: Any = getattr(tower, 'trunk', None)
    own = getattr(trunk, 'pos_embed', None)
    if name not in weights or own is None or own.shape == weights[name].shape:
        return
    from timm.layers import resample_abs_pos_embed

    weights[name] = resample_abs_pos_embed(
        weights[name],
        new_size=list(trunk.patch_embed.grid_size),
        num_prefix_tokens=0 if trunk.no_embed_class else trunk.num_prefix_tokens,
    )


def _without_others(weights: dict[str, Any], model: nn.Module) -> list[str]:
    """Take out what is of no tower, and give the model's own scale; their names."""
    own = model.state_dict()
    unused = [
        name
        for name in weights
        if name not in own and (not name.startswith(TOWERS) or name.endswith('.position_ids'))
    ]
    for name in unused:
        del weights[name]
    weights.update({name: own[name] for name in JOINT if name in own})
    return [name for name in unused if name not in (*ABOUT, *JOINT)]


def _check_fit(model: nn.Module, weights: Mapping[str, Any], unused: list[str]) -> None:
    own = {name: value for name, value in model.state_dict().items() if name not in JOINT}
    missing, mismatched, fit = compare_state_dicts(own, weights)
    unknown = [name for name in weights if name not in own and name not in JOINT]
    if mismatched:
        name = mismatched[0]
        shapes = [tuple(getattr(one[name], 'shape', ())) for one in (weights, own)]
        raise ValueError(
            f'{len(mismatched)} of its {len(own)} weights have another shape, such as {name} '
            f'{shapes[0]} in place of {shapes[1]}'
        )
    if missing or unknown:
        raise ValueError(
            f'of its {len(own)} weights {fit} fit; missing: {count_parts(missing)}; in the file '
            f'beside them: {count_parts([*unknown, *unused], most=3)}'
        )


def _read_index(path: Path) -> dict[str, str]:
    """Which part of the weights stands in which file of transformers."""
    try:
        files = json.loads(path.read_text('utf-8'))['weight_map']
        return {str(name): str(file) for name, file in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path} is no index of weights: {reason(error)}') from error
