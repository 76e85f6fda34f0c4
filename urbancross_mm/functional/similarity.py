"""Similarity of embeddings: unit length, inner products and distances."""

from __future__ import annotations

import torch
from torch import Tensor


def as_float(embeds: Tensor) -> Tensor:
    """Cast half precision to float32; leave float32 and float64 as they are.

    Args:
        embeds (Tensor): Any floating or integer type.

    Returns:
        Tensor: float32 or float64.
    """
    return embeds.to(torch.promote_types(embeds.dtype, torch.float32))


def normalize(feats: Tensor, eps: float = 1e-12) -> Tensor:
    """Scale every row to unit length, in float32 at least.

    Args:
        feats (Tensor): Features of any floating type.
        eps (float): Smallest length divided by, so a zero row stays zero. Defaults to 1e-12.

    Shape:
        - feats: ``(..., D)``; output: the same.

    Returns:
        Tensor: Unit rows.
    """
    return torch.nn.functional.normalize(as_float(feats), dim=-1, eps=eps)


def inner_product(first: Tensor, second: Tensor) -> Tensor:
    """Inner products of all pairs, in float32 at least.

    Autocast is ignored: bfloat16 would round cosines at 4e-3. Whether a GPU may use TF32 is a
    setting of the process, see :func:`urbancross_mm.utils.devices.full_precision`.

    Args:
        first (Tensor): N vectors.
        second (Tensor): M vectors.

    Shape:
        - first: ``(N, D)``; second: ``(M, D)``; output: ``(N, M)``.

    Returns:
        Tensor: Row i, column j is ``first[i] . second[j]``.
    """
    first, second = as_float(first), as_float(second)
    device_type = first.device.type
    if not torch.is_autocast_enabled(device_type):  # entering the context takes 20 microseconds
        return first @ second.t()
    with torch.autocast(device_type, enabled=False):
        return first @ second.t()


def distances(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean distances of all pairs, from the differences of their coordinates.

    The expansion ``|x|^2 + |y|^2 - 2 x y`` loses all digits where vectors are close. The gradient
    of a distance of 0 is 0.

    Args:
        first (Tensor): N vectors.
        second (Tensor): M vectors.

    Shape:
        - first: ``(N, D)``; second: ``(M, D)``; output: ``(N, M)``.

    Returns:
        Tensor: In float32 at least.
    """
    return torch.cdist(
        as_float(first), as_float(second), compute_mode='donot_use_mm_for_euclid_dist'
    )
