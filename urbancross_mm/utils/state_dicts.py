"""Where the weights of a model come from, and whether those of a checkpoint fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

# In the names of weights of fine-tuning.
LORA, ADAPTER = '.lora.', '.adapter.'
# How mmengine notes what has happened to a weight in ``init_weights``.
_UNCHANGED, _LOADED = 'The value is the same', 'load from '


def compare_state_dicts(
    expected: Mapping[str, Any], weights: Mapping[str, Any]
) -> tuple[list[str], list[str], int]:
    """Compare the names and shapes of two state dicts.

    Args:
        expected (Mapping): The model's own.
        weights (Mapping): A checkpoint's.

    Returns:
        tuple[list[str], list[str], int]: Missing names, names of another shape or of no tensor,
        and how many fit.
    """
    missing = [name for name in expected if name not in weights]
    mismatched = [
        name
        for name, value in expected.items()
        if name in weights
        and (
            getattr(weights[name], 'shape', None) != value.shape
            or not isinstance(weights[name], torch.Tensor)
        )
    ]
    return missing, mismatched, len(expected) - len(missing) - len(mismatched)


def check_state_dict(
    model: Any, weights: Mapping[str, Any], path: str | Path, partial: bool = False
) -> list[str]:
    """Stop before a checkpoint of another model loads little or nothing.

    Args:
        model (nn.Module): Its attribute ``optional_prefixes`` names weights that it can do without
            (a segment tower is filled from the image tower).
        weights (Mapping): The checkpoint's state dict.
        path (str | Path): For the message.
        partial (bool): A fine-tune: half of the weights are enough, as long as none has another
            shape. Defaults to False.

    Returns:
        list[str]: The model's weights that the checkpoint lacks, without the optional ones.

    Raises:
        ValueError: If the checkpoint does not fit.
    """
    expected = model.state_dict()
    missing, mismatched, matched = compare_state_dicts(expected, weights)
    optional = tuple(getattr(model, 'optional_prefixes', ()))
    needed = [name for name in missing if not (optional and name.startswith(optional))]
    if not mismatched and (not needed or (partial and 2 * matched >= len(expected))):
        return needed
    raise ValueError(
        f'the checkpoint {path} is of another model: of the {len(expected)} weights of '
        f'{type(model).__name__}, {matched} fit, {len(missing)} are missing and '
        f'{len(mismatched)} have another shape ({", ".join((mismatched + needed)[:3])})'
        f'{"" if matched else "; a run with --sample has other encoders: give --sample here too"}'
    )


def own_weights(model: Any, weights: Mapping[str, Any]) -> Mapping[str, Any]:
    """Weights under the names of a model that knows other layouts than its own.

    Args:
        model (nn.Module): Its method ``own_weights`` renames them, if it has one; a wrapped model
            is asked itself.
        weights (Mapping): A checkpoint's state dict.

    Returns:
        Mapping: The same dict where there is nothing to rename.
    """
    inner = model if hasattr(model, 'own_weights') else getattr(model, 'module', None)
    rename = getattr(inner, 'own_weights', None)
    return weights if rename is None else rename(weights)


def merge_lora(state_dict: dict[str, Any], keep: frozenset[str] = frozenset()) -> list[str]:
    """Add each update to its matrix and drop it: the weights are then those of the plain model.

    Args:
        state_dict (dict): Changed in place; its tensors are not.
        keep (frozenset[str]): Names of layers whose update stays. Defaults to none.

    Returns:
        list[str]: Names of the layers that were merged.

    Raises:
        ValueError: If a part of an update is missing or of another shape.
    """
    ends = f'{LORA}up'
    layers = [name.removesuffix(ends) for name in state_dict if name.endswith(ends)]
    merged = [layer for layer in layers if layer not in keep]
    for layer in merged:
        fused = f'{layer}.in_proj_weight'
        name = fused if fused in state_dict else f'{layer}.weight'
        try:
            up, down, scale = (
                state_dict.pop(f'{layer}{LORA}{part}').float() for part in ('up', 'down', 'scale')
            )
            weight = state_dict[name]
            state_dict[name] = (weight.float() + scale * (up @ down)).to(weight.dtype)
        except (KeyError, RuntimeError, AttributeError) as error:
            raise ValueError(f'the LoRA of {layer} cannot be merged: {error}') from None
    return merged


def without_branches(model: Any, weights: Mapping[str, Any]) -> Mapping[str, Any]:
    """Weights for a part of a model without the LoRA that a checkpoint has.

    Args:
        model (nn.Module): An encoder or backbone, or a whole model.
        weights (Mapping): A checkpoint's state dict, under the model's names.

    Returns:
        Mapping: With LoRA that the model lacks merged; the same dict where there is none.

    Raises:
        ValueError: If the model lacks an adapter, which cannot be merged.
    """
    given = [name for name in weights if LORA in name or ADAPTER in name]
    lost = set(given) - model.state_dict().keys() if given else set()
    adapters = sorted(name for name in lost if ADAPTER in name)
    if adapters:
        raise ValueError(
            f'the checkpoint has adapters that {type(model).__name__} lacks, such as '
            f'{adapters[0]}: they cannot be merged, so load the whole model with the '
            'model.finetune of their run'
        )
    if not lost:
        return weights
    kept = {name.partition(LORA)[0] for name in given if name not in lost}
    merged = dict(weights)
    merge_lora(merged, frozenset(kept))
    return merged


def count_parts(names: Iterable[str], most: int = 6) -> str:
    """Count weights by the part of the model that they belong to.

    Args:
        names (Iterable[str]): Of weights.
        most (int): Parts to name. Defaults to 6.

    Returns:
        str: ``'segment_encoder (62), head (1)'``; ``'none'`` for no names.
    """
    parts = Counter(name.partition('.')[0] for name in names)
    shown = [f'{part[:60]} ({count})' for part, count in sorted(parts.items())[:most]]
    more = [f'{len(parts) - most} more'] if len(parts) > most else []
    return ', '.join(shown + more) or 'none'


def load_report(
    expected: Mapping[str, Any],
    weights: Mapping[str, Any],
    path: str | Path,
    unused: Iterable[str] = (),
) -> str:
    """Say in one line what a checkpoint brings to a model.

    Args:
        expected (Mapping): The model's own state dict.
        weights (Mapping): The checkpoint's, under the model's names.
        path (str | Path): Of the checkpoint.
        unused (Iterable[str]): Weights of the checkpoint that were left out before. Defaults to ().

    Returns:
        str: How many are loaded, and which are missing, of another shape or unexpected, by part.
    """
    missing, mismatched, matched = compare_state_dicts(expected, weights)
    unexpected = [*unused, *(name for name in weights if name not in expected)]
    parts = {'missing': missing, 'of another shape': mismatched, 'unexpected': unexpected}
    counts = [f'; {kind}: {count_parts(names)}' for kind, names in parts.items() if names]
    return f'loaded {matched} of {len(expected)} weights from {path}{"".join(counts)}'


def describe_initialization(origins: Iterable[str]) -> str:
    """Sum up where the weights of a model come from.

    Args:
        origins (Iterable[str]): What mmengine's ``init_weights`` notes about each of them.

    Returns:
        str: How many there are, and how many of them were loaded from which checkpoint, drawn by
        ``init_weights``, or left as the model was built.
    """
    counts = Counter(map(_origin, origins))
    parts = [f'{number} {origin}' for origin, number in counts.most_common()]
    return f'{counts.total()} parameters: {", ".join(parts)}'


def describe_trained(model: Any) -> str:
    """How many parameters of a model train.

    Args:
        model (nn.Module): Any.

    Returns:
        str: Such as ``0.59 M of 151.28 M parameters (0.39 %): image_encoder 0.39 M of 87.85 M``.
    """
    total, trained = _counts(model)
    parts = [(name, *_counts(child)) for name, child in model.named_children()]
    share = 100 * trained / max(total, 1)
    each = [f'{name} {_millions(own)} of {_millions(size)}' for name, size, own in parts if size]
    return (
        f'{_millions(trained)} of {_millions(total)} parameters ({share:.2f} %): {", ".join(each)}'
    )


def _counts(module: Any) -> tuple[int, int]:
    weights = list(module.parameters())
    trained = (weight.numel() for weight in weights if weight.requires_grad)
    return sum(weight.numel() for weight in weights), sum(trained)


def _millions(number: int) -> str:
    return f'{number / 1e6:.2f} M' if number >= 1e4 else str(number)


def _origin(info: str) -> str:
    if info.startswith(_UNCHANGED):
        return 'as the model was built'
    _, loaded, checkpoint = info.strip().partition(_LOADED)
    return f'loaded from {checkpoint}' if loaded else 'drawn by init_weights'
