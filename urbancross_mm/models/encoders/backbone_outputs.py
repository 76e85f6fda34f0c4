"""What backbones return, in one form, and one vector from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

POOLS = ('avg', 'max', 'gem', 'cls')
# Of mmpretrain; their tokens are (N, C, L).
CHANNELS_FIRST = ('MlpMixer', 'EfficientFormer')


def outputs_of(backbone: nn.Module, raw: Any) -> list[Any]:
    """List the outputs of a backbone.

    Args:
        backbone (nn.Module): The backbone.
        raw (Any): What it returned: a tensor, or a sequence or a dict of outputs.

    Returns:
        list: Outputs: a vector (N, C), tokens (N, L, C), a map (N, C, H, W), several of them, or
        None where the backbone leaves one out.
    """
    if isinstance(raw, Mapping):
        outputs = list(raw.values())
    else:
        outputs = list(raw) if isinstance(raw, Sequence) else [raw]
    # timm says so of its Swin models.
    layout = getattr(getattr(backbone, 'timm_model', None), 'output_fmt', None)
    if getattr(layout, 'value', layout) == 'NHWC':
        return [_turned(output, 4, (0, 3, 1, 2)) for output in outputs]
    if type(backbone).__name__ in CHANNELS_FIRST:
        return [_turned(output, 3, (0, 2, 1)) for output in outputs]
    return outputs


def pool_output(output: Any, pool: str, exponent: Tensor | None, owner: nn.Module) -> Tensor:
    """One vector per image from an output; of several, their vectors side by side.

    Args:
        output (Any): As :func:`outputs_of` returns it.
        pool (str): One of :data:`POOLS`; a vector is taken as it is.
        exponent (Tensor | None): Of ``'gem'``.
        owner (nn.Module): The backbone, for the message.

    Shape:
        (N, C), (N, L, C) or (N, C, H, W) -> (N, C).

    Returns:
        Tensor: The vectors.

    Raises:
        ValueError: If the output cannot be pooled this way.
    """
    if isinstance(output, list | tuple) and output:
        return torch.cat([pool_output(part, pool, exponent, owner) for part in output], dim=-1)
    dims = output.dim() if isinstance(output, Tensor) and output.is_floating_point() else 0
    if dims == 2:
        return output
    if dims not in (3, 4) or (pool == 'cls' and dims == 4):
        raise ValueError(
            f'pool={pool!r} cannot pool an output of {_describe(output)} of '
            f'{type(owner).__name__}: it takes vectors (N, C), tokens (N, L, C) and, but for '
            "'cls', maps (N, C, H, W)"
        )
    if pool == 'cls':
        return output[:, 0]
    # tokens (N, L, C) and maps (N, C, H, W) to (N, C, positions)
    feats = output.transpose(1, 2) if dims == 3 else output.flatten(2)
    if pool == 'max':
        return feats.amax(dim=-1)
    if exponent is not None:
        return feats.float().clamp(min=1e-6).pow(exponent).mean(dim=-1).pow(1 / exponent)
    return feats.mean(dim=-1)


def tensors_of(output: Any) -> list[Tensor]:
    """The tensors of an output, however deep they stand."""
    if isinstance(output, list | tuple):
        return [part for one in output for part in tensors_of(one)]
    return [output] if isinstance(output, Tensor) and output.is_floating_point() else []


def training_order(evaluated: Sequence[Any], trained: Sequence[Any]) -> list[int | None] | None:
    """Where each output of evaluation stands among those of training.

    Backbones of segmentation return those of their auxiliary branches as well, or instead of
    nothing.

    Args:
        evaluated (Sequence): Outputs for an image.
        trained (Sequence): Those for the same image and the same statistics, in training.

    Returns:
        list[int | None] | None: Positions, None for an output that training lacks; None where both
        are of the same form.
    """
    if _form(evaluated) == _form(trained):
        return None
    return [
        next((k for k, other in enumerate(trained) if _equal(output, other)), None)
        for output in evaluated
    ]


def _equal(output: Any, other: Any) -> bool:
    parts, others = tensors_of(output), tensors_of(other)
    return (
        bool(parts)
        and _form(output) == _form(other)
        and all(torch.allclose(a, b, 1e-4, 1e-5) for a, b in zip(parts, others))
    )


def _form(output: Any) -> Any:
    if isinstance(output, list | tuple):
        return tuple(_form(part) for part in output)
    return tuple(output.shape) if isinstance(output, Tensor) else None


def _turned(output: Any, dims: int, order: Sequence[int]) -> Any:
    fits = isinstance(output, Tensor) and output.dim() == dims
    return output.permute(*order) if fits else output


def _describe(output: Any) -> str:
    if isinstance(output, Tensor):
        return f'shape {tuple(output.shape)} and type {output.dtype}'
    return f'type {type(output).__name__}'
