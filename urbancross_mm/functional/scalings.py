"""Sinkhorn's iteration: the scalings that make a matrix of scores a transport plan."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

# Of the logits and the logarithms of both masses together, which bounds the logarithms of all
# factors. Double precision has normal numbers from exp(-708) to exp(709).
LARGEST_SPREAD = 690.0
# Newton's steps; one or two are enough from the value of the update before.
STEPS = 50
ENOUGH = 1e-13
# Iterations between two looks at the error, which a GPU would have to wait for.
CHECK_EVERY = 10


class Potentials(NamedTuple):
    """Logarithms of the scalings of a plan, ``P = r exp(S / eps + rows + columns) c``.

    r and c are the masses; ``rows`` ``(N,)`` and ``columns`` ``(M,)`` in double precision.
    ``spare_column`` and ``spare_row`` are numbers: the scalings of what takes the mass that a
    partial plan leaves, minus infinity if it leaves none.
    """

    rows: Tensor
    columns: Tensor
    spare_column: Tensor
    spare_row: Tensor


def scale(
    logits: Tensor,
    log_rows: Tensor,
    log_columns: Tensor,
    iterations: int,
    matched: float = 1.0,
    tolerance: float = 0.0,
) -> Potentials:
    """Scale the rows, then the columns, and again.

    A spare column and a spare row take the mass that a partial plan leaves. Their scalings are
    solved for exactly, together with those of the rows or columns: if they were scaled in turn,
    they would creep to their place through the spread of the scores, and the sum of the plan with
    them.

    Args:
        logits (Tensor): Scores by temperature.
        log_rows (Tensor): Logarithms of the masses of the rows, double.
        log_columns (Tensor): Those of the columns, double.
        iterations (int): Updates of both, at most.
        matched (float): Share of the mass that is moved. Defaults to 1.0.
        tolerance (float): Stop when the masses of the rows are off by less, in sum. Defaults to
            0.0 (never).

    Shape:
        logits ``(N, M)``; log_rows ``(N,)``; log_columns ``(M,)``.

    Returns:
        Potentials: Double. The columns are scaled last.
    """
    shift = logits.max().double()
    spread = (logits - shift).abs().max() - log_rows.min() - log_columns.min()
    multiplied = bool(spread < LARGEST_SPREAD)
    # A constant in the logits changes no plan.
    kernel = (logits - shift).double().exp() if multiplied else logits

    def row_sums(columns: Tensor) -> Tensor:
        if multiplied:
            return (kernel @ (columns + log_columns).exp()).log()
        return torch.logsumexp(kernel + (columns + log_columns), dim=1)

    def column_sums(rows: Tensor) -> Tensor:
        if multiplied:
            return ((rows + log_rows).exp() @ kernel).log()
        return torch.logsumexp(kernel + (rows + log_rows)[:, None], dim=0)

    sums = row_sums(-log_columns)
    spare_column = spare_row = sums.mean()
    for done in range(1, iterations + 1):
        spare_column = _spare(sums, log_rows, matched, spare_column)
        rows = -torch.logaddexp(sums, spare_column)
        sums = column_sums(rows)
        spare_row = _spare(sums, log_columns, matched, spare_row)
        columns = -torch.logaddexp(sums, spare_row)
        if done == iterations:
            break
        sums = row_sums(columns)
        if tolerance and done % CHECK_EVERY == 0:
            error = (rows + torch.logaddexp(sums, spare_column)).expm1().abs() @ log_rows.exp()
            if error < tolerance:
                break
    moved = shift if multiplied else torch.zeros_like(shift)
    return Potentials(rows, columns - moved, spare_column, spare_row + moved)


def _spare(sums: Tensor, log_mass: Tensor, matched: float, start: Tensor) -> Tensor:
    """Potential a of what takes ``1 - matched``, the sum of ``mass sigmoid(a - sums)``.

    That is concave in exp(a), and the rest concave in exp(-a): Newton's steps in the one from
    below, and in the other from above, never go too far.
    """
    if matched == 1:
        return torch.full_like(start, -torch.inf)
    mass = log_mass.exp()
    for _ in range(STEPS):
        missing = 1 - matched - mass @ torch.sigmoid(start - sums)
        if missing.abs() < ENOUGH:
            break
        # Its logarithm: between two far values, the slope itself underflows.
        slopes = log_mass + logsigmoid(start - sums) + logsigmoid(sums - start)
        ratio = missing.abs().log() - torch.logsumexp(slopes, dim=0)
        start = start + missing.sign() * softplus(ratio)
    return start
