"""Entropic optimal transport between two unpaired sets.

Letters: N and M items of the two sets, e.g. images and texts.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from urbancross_mm.functional.scalings import Potentials, scale
from urbancross_mm.functional.similarity import as_float

# Sum over the rows of what their masses are off by; beyond it the plan has not converged.
LARGEST_ERROR = 0.05


def sinkhorn(
    scores: Tensor,
    eps: float = 0.05,
    iterations: int = 50,
    rows: Tensor | None = None,
    columns: Tensor | None = None,
    matched: float = 1.0,
) -> Tensor:
    r"""The entropic transport plan that maximizes the total score.

    .. math::
        \max_P \langle P, S \rangle + \epsilon H(P), \quad P 1 = r, \; P^T 1 = c

    A partial plan moves the share ``matched`` of the mass only: a spare row and a spare column
    take the rest, from the items that fit worst. No item gets more than its mass, and the sum is
    exact.

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
        matched (float): Share of the mass that is moved. Defaults to 1.0.

    Shape:
        - scores, output: ``(N, M)``; rows: ``(N,)``; columns: ``(M,)``.

    Returns:
        Tensor: The plan P with sum ``matched``, without gradient.

    Raises:
        ValueError: If eps or the iterations are not positive, a set is empty, a score is not
            finite, the masses are no masses, or ``matched`` is not in (0, 1].

    Reference:
        Sinkhorn distances (https://arxiv.org/abs/1306.0895); logarithms as in Peyre and Cuturi,
        Computational Optimal Transport (https://arxiv.org/abs/1803.00567), section 4.4; the spare
        row and column as in Chapel et al. (https://arxiv.org/abs/2002.08276).
    """
    logits, log_rows, log_columns = _problem(scores, eps, iterations, rows, columns, matched)
    found = scale(logits, log_rows, log_columns, iterations, matched)
    row_scaling = found.rows + log_rows
    # The columns are scaled last, and exact even where a logit has no digits after the point.
    column_mass = -log_columns.exp() * (found.columns + found.spare_row).expm1()
    plan = (torch.softmax(logits + row_scaling[:, None], dim=0) * column_mass).to(logits.dtype)
    spare = (row_scaling + found.spare_column).exp()
    if (plan.sum(dim=1) + spare - log_rows.exp()).abs().sum() > LARGEST_ERROR:
        # The text is the same every time, so that Python shows it once.
        warnings.warn(
            f'sinkhorn has not converged after iterations={iterations} at eps={eps}: raise either',
            RuntimeWarning,
            stacklevel=2,
        )
    return plan


def potentials(
    scores: Tensor,
    eps: float = 0.05,
    iterations: int = 50,
    rows: Tensor | None = None,
    columns: Tensor | None = None,
    matched: float = 1.0,
    tolerance: float = 0.0,
) -> Potentials:
    """The scalings of the plan of :func:`sinkhorn`, which extend it to items that come later.

    Args:
        scores (Tensor): S.
        eps (float): Temperature. Defaults to 0.05.
        iterations (int): Updates, at most. Defaults to 50.
        rows (Tensor | None): Masses. Defaults to None (equal).
        columns (Tensor | None): Masses. Defaults to None (equal).
        matched (float): Share of the mass that is moved. Defaults to 1.0.
        tolerance (float): Enough if the masses of the rows are off by less, in sum. Defaults to
            0.0, which takes all updates.

    Returns:
        Potentials: See there; :func:`extend` gives those of other items.

    Raises:
        ValueError: As :func:`sinkhorn`.
    """
    logits, log_rows, log_columns = _problem(scores, eps, iterations, rows, columns, matched)
    return scale(logits, log_rows, log_columns, iterations, matched, tolerance)


def extend(
    scores: Tensor,
    known: Tensor,
    spare: Tensor,
    eps: float = 0.05,
    mass: Tensor | None = None,
) -> Tensor:
    """The potentials of new rows, by the known potentials of the columns.

    It is the update of Sinkhorn's iteration, which needs a row's own scores only.

    Args:
        scores (Tensor): Of the new rows against the columns of the plan; transpose them for new
            columns against its rows.
        known (Tensor): Potentials of the plan's columns.
        spare (Tensor): That of the spare column.
        eps (float): Temperature. Defaults to 0.05.
        mass (Tensor | None): Masses of the plan's columns. Defaults to None (equal).

    Shape:
        - scores: ``(K, M)``; known, mass: ``(M,)``; output: ``(K,)``, double.

    Returns:
        Tensor: The potentials.
    """
    logits = _logits(scores, eps).double()
    log_mass = _log_mass(mass, logits, 1)
    return -torch.logaddexp(torch.logsumexp(logits + (known.double() + log_mass), dim=1), spare)


def _problem(
    scores: Tensor,
    eps: float,
    iterations: int,
    rows: Tensor | None,
    columns: Tensor | None,
    matched: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores by temperature, and the logarithms of the masses, in double precision."""
    if not eps > 0 or iterations < 1:
        raise ValueError(f'eps and iterations must be positive, got {eps} and {iterations}')
    if not 0 < matched <= 1:
        raise ValueError(f'matched must lie in (0, 1], got {matched}')
    logits = _logits(scores, eps)
    return logits, _log_mass(rows, logits, 0).double(), _log_mass(columns, logits, 1).double()


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
