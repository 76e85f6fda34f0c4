"""Entropic optimal transport and nearest-neighbor matching between two unpaired sets.

Letters: N and M items of the two sets, e.g. images and texts.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from urbancross_mm.functional.similarity import as_float

# exp(-300) and its inverse are far inside the range of double precision.
LARGEST_SPREAD = 300.0
# Sum over the rows of what their masses are off by; beyond it the plan has not converged.
LARGEST_ERROR = 0.05


def sinkhorn(
    scores: Tensor,
    eps: float = 0.05,
    iterations: int = 50,
    rows: Tensor | None = None,
    columns: Tensor | None = None,
) -> Tensor:
    r"""The entropic transport plan that maximizes the total score.

    .. math::
        \max_P \langle P, S \rangle + \epsilon H(P), \quad P 1 = r, \; P^T 1 = c

    Sinkhorn's iteration: on the logarithms of the scalings where eps is so small that they would
    overflow, else on the scalings in double precision, which is ten times as fast. The columns are
    scaled last: their marginal is exact. If those of the rows are off by more than 5 % in sum after
    the iterations, a RuntimeWarning says so.

    Args:
        scores (Tensor): S, e.g. cosines.
        eps (float): Temperature of the plan in units of the scores: small gives a matching, large
            gives the product of the marginals. Defaults to 0.05.
        iterations (int): Updates of both scalings. Defaults to 50.
        rows (Tensor | None): r, masses of the rows with sum 1. Defaults to None (equal).
        columns (Tensor | None): c, masses of the columns with sum 1: a caption that occurs
            often has more. Defaults to None (equal).

    Shape:
        - scores, output: ``(N, M)``; rows: ``(N,)``; columns: ``(M,)``.

    Returns:
        Tensor: The plan P with sum 1, without gradient.

    Raises:
        ValueError: If eps or the iterations are not positive, a set is empty, a score is not
            finite, or the masses are no masses.

    Reference:
        Sinkhorn distances (https://arxiv.org/abs/1306.0895); logarithms as in Peyre and Cuturi,
        Computational Optimal Transport (https://arxiv.org/abs/1803.00567), section 4.4.
    """
    if not eps > 0 or iterations < 1:
        raise ValueError(f'eps and iterations must be positive, got {eps} and {iterations}')
    logits = _logits(scores, eps)
    log_rows, log_columns = _log_mass(rows, logits, 0), _log_mass(columns, logits, 1)
    if logits.max() - logits.min() < LARGEST_SPREAD:
        plan = _scale(logits, log_rows.double().exp(), log_columns.double().exp(), iterations)
    else:
        plan = _scale_logarithms(logits, log_rows, log_columns, iterations)
    if (plan.sum(dim=1) - log_rows.exp()).abs().sum() > LARGEST_ERROR:
        # The text is the same every time, so that Python shows it once.
        warnings.warn(
            f'sinkhorn has not converged after iterations={iterations} at eps={eps}: raise either',
            RuntimeWarning,
            stacklevel=2,
        )
    return plan


def _logits(scores: Tensor, eps: float) -> Tensor:
    if not scores.numel():
        raise ValueError(f'nothing to transport: scores of shape {tuple(scores.shape)}')
    if not scores.isfinite().all():
        raise ValueError('nothing to transport by: the scores hold NaN or infinity')
    logits = as_float(scores.detach()) / eps
    if not logits.isfinite().all():
        raise ValueError(
            f'the scores, up to {float(scores.abs().max()):g}, are too large for eps={eps}'
        )
    return logits


def _scale(logits: Tensor, rows: Tensor, columns: Tensor, iterations: int) -> Tensor:
    kernel = (logits - logits.max()).double().exp()
    column_scaling = torch.ones_like(columns)
    for _ in range(iterations):
        row_scaling = rows / (kernel @ column_scaling)
        column_scaling = columns / (row_scaling @ kernel)
    return (row_scaling[:, None] * kernel * column_scaling).to(logits.dtype)


def _scale_logarithms(
    logits: Tensor, log_rows: Tensor, log_columns: Tensor, iterations: int
) -> Tensor:
    column_scaling = torch.zeros_like(log_columns)
    for _ in range(iterations):
        row_scaling = log_rows - torch.logsumexp(logits + column_scaling, dim=1)
        column_scaling = log_columns - torch.logsumexp(logits + row_scaling[:, None], dim=0)
    # The sum of all three, exponentiated; exact even where a logit has no digits after the point.
    return torch.softmax(logits + row_scaling[:, None], dim=0) * log_columns.exp()


def csls(scores: Tensor, neighbors: int = 10) -> Tensor:
    """Scores made comparable between crowded and empty regions.

    Args:
        scores (Tensor): Cosines.
        neighbors (int): How many nearest neighbors measure how crowded a region is; no more than
            there are. Defaults to 10.

    Shape:
        - scores, output: ``(N, M)``.

    Returns:
        Tensor: ``2 s_ij - r_i - r_j``, r the mean cosine to the nearest neighbors on the other
        side.

    Reference:
        Conneau et al., Word translation without parallel data (https://arxiv.org/abs/1710.04087).
    """
    by_row = scores.topk(min(neighbors, scores.shape[1]), dim=1).values.mean(dim=1)
    by_column = scores.topk(min(neighbors, scores.shape[0]), dim=0).values.mean(dim=0)
    return 2 * scores - by_row[:, None] - by_column


class MutualPairs(NamedTuple):
    """Pairs that chose each other: ``rows`` and ``columns`` (P,) long, ``scores`` (P,)."""

    rows: Tensor
    columns: Tensor
    scores: Tensor


@torch.no_grad()
def mutual_nearest(scores: Tensor) -> MutualPairs:
    """Find rows and columns that are each other's best, the most confident first.

    Args:
        scores (Tensor): Similarities, e.g. of :func:`csls`.

    Shape:
        - scores: ``(N, M)``; see :class:`MutualPairs`.

    Returns:
        MutualPairs: The pairs.
    """
    best_column, best_row = scores.argmax(dim=1), scores.argmax(dim=0)
    rows = torch.arange(len(scores), device=scores.device)
    rows = rows[best_row[best_column] == rows]
    columns = best_column[rows]
    values = scores[rows, columns]
    order = values.argsort(descending=True, stable=True)
    return MutualPairs(rows[order], columns[order], values[order])


def _log_mass(mass: Tensor | None, logits: Tensor, dim: int) -> Tensor:
    size = logits.shape[dim]
    if mass is None:
        return torch.full(
            (size,),
            -torch.tensor(float(size)).log().item(),
            dtype=logits.dtype,
            device=logits.device,
        )
    if mass.shape != (size,):
        raise ValueError(f'{size} items need as many masses, got shape {tuple(mass.shape)}')
    if not mass.isfinite().all() or mass.min() < 0 or mass.sum() <= 0:
        raise ValueError(
            f'masses must be finite, at least 0 and not all 0, got {mass.tolist()[:5]}'
        )
    # A mass of 0 would be the logarithm of 0 in both scalings, and their difference not a number.
    return (mass / mass.sum()).to(logits).clamp(min=1e-30).log()
