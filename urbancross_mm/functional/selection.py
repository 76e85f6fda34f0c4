"""Which source samples look like the target, and how much each counts.

Letters: S source samples, T target samples, k selected source samples, D embedding width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from urbancross_mm.functional.similarity import as_float, inner_product, normalize

MODES = ('cumulative', 'window')
# Cosines of float32 vectors closer together than this carry no order: the vectors are rounded.
SMALLEST_RANGE = torch.finfo(torch.float32).eps


class Selection(NamedTuple):
    """Selected source rows and the weights of both domains.

    ``indices`` (k,) long, most similar first; ``w_source`` (k,) and ``w_target`` (T,), each
    positive with sum 1, without gradient.
    """

    indices: Tensor
    w_source: Tensor
    w_target: Tensor


def fuse(image_embeds: Tensor, text_embeds: Tensor) -> Tensor:
    """One vector per sample: the direction half-way between image and text.

    Args:
        image_embeds (Tensor): Unit length.
        text_embeds (Tensor): Unit length.

    Shape:
        - image_embeds, text_embeds, output: ``(N, D)``.

    Returns:
        Tensor: Unit vectors.
    """
    return normalize(image_embeds + text_embeds)


@torch.no_grad()
def select_similar(
    source_embeds: Tensor,
    target_embeds: Tensor,
    ratio: float,
    mode: str = 'cumulative',
    stage: int = 0,
    floor: float = 0.05,
) -> Selection:
    r"""Take the source samples that are most similar to the target batch on average.

    With :math:`S = e_t e_s^T` and :math:`a_j = \operatorname{mean}_i S_{ij}`, the source samples
    are ranked by a. The weights are a of the selected samples, and the row sums of S over them,
    each stretched to 0..1, normalized to sum 1, and floored.

    Args:
        source_embeds (Tensor): Unit length.
        target_embeds (Tensor): Unit length.
        ratio (float): Share of the source batch to take, in (0, 1]; at least one sample is.
        mode (str): 'cumulative' takes the first ``ratio`` of the ranking; 'window' takes the
            ``stage``-th disjoint piece of it, so that later stages leave the easy samples out.
            Defaults to 'cumulative'.
        stage (int): Piece of the ranking for 'window'; beyond the last piece it stays there.
            Defaults to 0.
        floor (float): Share of the weight that is spread evenly, so that no sample has none.
            Defaults to 0.05.

    Shape:
        - source_embeds: ``(S, D)``; target_embeds: ``(T, D)``; see :class:`Selection`.

    Returns:
        Selection: Indices and weights.

    Raises:
        ValueError: If a domain has no sample, or the ratio or the mode is unknown.

    Reference:
        UrbanCross (https://arxiv.org/abs/2404.14241), adaptive curriculum-based source sampler.
    """
    _check(len(source_embeds), len(target_embeds), ratio, mode)
    # In float64: near collapse, similarities differ in their last digits only.
    similarity = inner_product(target_embeds.double(), source_embeds.double())  # (T, S)
    closeness = similarity.mean(dim=0)
    # round, not int: 100 * 0.29 is 28.99... in floats. Stable, so that equal rows keep their order.
    count = max(1, round(ratio * len(source_embeds)))
    ranking = closeness.argsort(descending=True, stable=True)
    begin = 0
    if mode == 'window':
        begin = min(stage * count, len(ranking) - count)
    indices = ranking[begin : begin + count]
    weights = (
        importance(closeness[indices], floor),
        importance(similarity[:, indices].mean(dim=1), floor),
    )
    return Selection(indices, *(weight.to(as_float(source_embeds).dtype) for weight in weights))


def importance(similarity: Tensor, floor: float = 0.05) -> Tensor:
    """Weights that grow with the similarity: positive, sum 1, without gradient.

    Args:
        similarity (Tensor): One value a sample.
        floor (float): Share that is spread evenly; each weight is at least ``floor / N``.
            Defaults to 0.05.

    Shape:
        - similarity, output: ``(N,)``.

    Returns:
        Tensor: The weights; all equal if the similarities are.
    """
    similarity = similarity.detach()
    low, high = similarity.min(), similarity.max()
    uniform = torch.full_like(similarity, 1 / len(similarity))
    if not high - low > SMALLEST_RANGE:
        return uniform
    stretched = (similarity - low) / (high - low)
    return floor * uniform + (1 - floor) * stretched / stretched.sum()


def _check(num_source: int, num_target: int, ratio: float, mode: str) -> None:
    if not num_source or not num_target:
        raise ValueError(
            f'selection needs samples of both domains, got {num_source} '
            f'of the source and {num_target} of the target'
        )
    if mode not in MODES:
        raise ValueError(f'mode must be one of {MODES}, got {mode!r}')
    if not 0 < ratio <= 1:
        raise ValueError(f'ratio must lie in (0, 1], got {ratio}: it would select nothing')
