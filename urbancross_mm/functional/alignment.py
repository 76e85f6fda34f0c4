"""Distances between the distributions of two domains.

Letters: S source and T target vectors, D their width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from urbancross_mm.functional.similarity import as_float, distances, inner_product

SMALLEST_WIDTH = 1e-8  # of a kernel of two views, as released


def mk_mmd(
    source: Tensor,
    target: Tensor,
    bandwidths: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0),
    paired: bool = False,
) -> Tensor:
    r"""Squared maximum mean discrepancy under a mean of Gaussian kernels.

    .. math::
        \overline{k(s, s')} + \overline{k(t, t')} - 2 \overline{k(s, t)}, \quad
        k(x, y) = \operatorname{mean}_b \exp(-\|x - y\|^2 / (b \sigma^2))

    with :math:`\sigma^2` the mean squared distance of all pairs, without gradient. The domains
    may differ in size. A sample is not compared with itself, so the estimate is unbiased and may
    be slightly negative. Two views of the same samples are no independent draws: ``paired``
    compares each with itself, too, so that the value is 0 for equal views and never negative.

    Args:
        source (Tensor): Vectors.
        target (Tensor): Vectors.
        bandwidths (Sequence[float]): The b. Defaults to (0.25, 0.5, 1, 2, 4).
        paired (bool): These are two views of the same samples. Defaults to False.

    Shape:
        - source: ``(S, D)``; target: ``(T, D)``; output: a scalar.

    Returns:
        Tensor: The discrepancy.

    Raises:
        ValueError: If a domain has fewer than two samples.

    Reference:
        DAN (https://arxiv.org/abs/1502.02791); Gretton et al., A kernel two-sample test.
    """
    _check_sizes(source, target)
    floor = SMALLEST_WIDTH if paired else 0.0
    kernels = _kernels(source, target, bandwidths, floor=floor).mean(0)
    inside = torch.mean if paired else _mean_of_others
    inside_source = inside(kernels[: len(source), : len(source)])
    inside_target = inside(kernels[len(source) :, len(source) :])
    return inside_source + inside_target - 2 * kernels[: len(source), len(source) :].mean()


def summed_mk_mmd(
    first: Tensor,
    second: Tensor,
    bandwidths: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0),
    ceiling: float = 200.0,
) -> Tensor:
    r"""MK-MMD as MCRN was released: sums over all pairs and kernels instead of means.

    A sample is compared with itself too, so the value is never negative; it grows with the square
    of the batch. Above the ceiling there is no gradient.

    Args:
        first (Tensor): Vectors.
        second (Tensor): As many vectors.
        bandwidths (Sequence[float]): As for :func:`mk_mmd`. Defaults to (0.25, 0.5, 1, 2, 4).
        ceiling (float): Largest value. Defaults to 200.0.

    Shape:
        - first, second: ``(N, D)``; output: a scalar.

    Returns:
        Tensor: The discrepancy.

    Raises:
        ValueError: If the sets differ in size, or have fewer than two samples.
    """
    _check_sizes(first, second)
    if len(first) != len(second):
        raise ValueError(f'sets of one size are needed, got {len(first)} and {len(second)}')
    kernels = _kernels(first, second, bandwidths, floor=SMALLEST_WIDTH).sum(0)
    size = len(first)
    inside = kernels[:size, :size].sum() + kernels[size:, size:].sum()
    return (inside - 2 * kernels[:size, size:].sum()).clamp(max=ceiling)


def coral(source: Tensor, target: Tensor) -> Tensor:
    r"""Distance of the covariances, :math:`\|C_s - C_t\|_F^2 / (4 D^2)`.

    Args:
        source (Tensor): Vectors.
        target (Tensor): Vectors.

    Shape:
        - source: ``(S, D)``; target: ``(T, D)``; output: a scalar.

    Returns:
        Tensor: The distance.

    Raises:
        ValueError: If a domain has fewer than two samples.

    Reference:
        Deep CORAL (https://arxiv.org/abs/1607.01719), eq. 1.
    """
    _check_sizes(source, target)
    difference = _covariance(as_float(source)) - _covariance(as_float(target))
    return difference.square().sum() / (4 * source.shape[1] ** 2)


def _kernels(
    source: Tensor, target: Tensor, bandwidths: Sequence[float], floor: float = 0.0
) -> Tensor:
    """Of all pairs: (S, D), (T, D) -> (bandwidths, S + T, S + T)."""
    vectors = torch.cat([as_float(source), as_float(target)])
    squared = distances(vectors, vectors).square()
    count = len(vectors)
    scale = squared.detach().sum() / (count * (count - 1))
    scale = scale.where(scale > 0, 1.0)  # all vectors are equal, and so are all kernels
    return torch.stack(
        [torch.exp(-squared / (width * scale).clamp(min=floor)) for width in bandwidths]
    )


def _covariance(vectors: Tensor) -> Tensor:
    centered = vectors - vectors.mean(dim=0)
    return inner_product(centered.t(), centered.t()) / (len(vectors) - 1)


def _mean_of_others(kernel: Tensor) -> Tensor:
    count = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))


def _check_sizes(source: Tensor, target: Tensor) -> None:
    if min(len(source), len(target)) < 2:
        raise ValueError(
            f'a distance of distributions needs two samples of each domain at least, '
            f'got {len(source)} and {len(target)}'
        )
