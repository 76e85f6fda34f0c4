"""Similarity of embeddings: unit length, full-precision products, exact top-k."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class FullPrecision:
    """Context that switches autocast and TF32/bf16 matrix products off.

    A rank is decided by the last digits and a softmax runs at scale 100; bf16 autocast rounds at
    4e-3.

    Args:
        device (torch.device): Where the products run.
    """

    def __init__(self, device: torch.device) -> None:
        self.autocast = torch.autocast(device_type=device.type, enabled=False)
        self.before = torch.get_float32_matmul_precision()

    def __enter__(self) -> None:
        """Switch off."""
        torch.set_float32_matmul_precision('highest')
        self.autocast.__enter__()

    def __exit__(self, *error: Any) -> None:
        """Restore what was set before."""
        self.autocast.__exit__(*error)
        torch.set_float32_matmul_precision(self.before)


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
    """Inner products of all pairs, in float32 at least, whatever autocast says.

    Args:
        first (Tensor): N vectors.
        second (Tensor): M vectors.

    Shape:
        - first: ``(N, D)``; second: ``(M, D)``; output: ``(N, M)``.

    Returns:
        Tensor: Row i, column j is ``first[i] . second[j]``.
    """
    with FullPrecision(first.device):
        return as_float(first) @ as_float(second).t()


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """Cosine similarity of all pairs, from -1 to 1.

    Args:
        first (Tensor): N vectors of any length.
        second (Tensor): M vectors of any length.

    Shape:
        - first: ``(N, D)``; second: ``(M, D)``; output: ``(N, M)``.

    Returns:
        Tensor: Cosines.
    """
    return inner_product(normalize(first), normalize(second))


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
