"""How far scores are from a given transport plan, by the plan that they give themselves."""

from __future__ import annotations

from torch import Tensor, xlogy

from urbancross_mm.functional import transport
from urbancross_mm.functional.similarity import as_float


def klot(scores: Tensor, plan: Tensor, eps: float = 0.05, iterations: int = 50) -> Tensor:
    r"""Divergence of a plan P* from the entropic plan P of the scores.

    .. math::
        L = KL(P^* \| P), \qquad \frac{\partial L}{\partial S} = \frac{P - P^*}{\epsilon}

    P has the marginals of P*, so that the potentials drop out of the gradient: nothing is
    differentiated through the iterations. The gradient has no gradient of its own.

    Args:
        scores (Tensor): S, e.g. cosines of a batch.
        plan (Tensor): P*, from 0, with any sum: it is scaled to a sum of 1. A part of a plan of
            all items is one.
        eps (float): Temperature of P in units of the scores. Defaults to 0.05.
        iterations (int): Updates of Sinkhorn's iteration. Defaults to 50.

    Shape:
        - scores, plan: ``(N, M)``; output: a number.

    Returns:
        Tensor: The loss, at least 0 when P has converged.

    Raises:
        ValueError: If eps or the iterations are not positive, the shapes differ, the scores are
            not finite, or the plan is no plan.

    Reference:
        The KLOT divergence of SOTAlign (https://arxiv.org/abs/2602.23353).
    """
    scores = as_float(scores)
    if plan.shape != scores.shape or not plan.isfinite().all() or plan.min() < 0 or not plan.any():
        raise ValueError(
            f'scores of shape {tuple(scores.shape)} need a plan of that shape, finite, from 0 and '
            f'not all 0, got shape {tuple(plan.shape)} with {plan.flatten()[:5].tolist()}'
        )
    target = plan.detach().double() / plan.sum()
    rows, columns = target.sum(dim=1), target.sum(dim=0)
    found = transport.potentials(scores, eps, iterations, rows, columns)
    mass = rows.clamp(min=1e-30).log()[:, None] + columns.clamp(min=1e-30).log()
    log_plan = scores.detach() / eps + found.rows[:, None] + found.columns + mass
    value = (xlogy(target, target) - target * log_plan).sum()
    gradient = (log_plan.exp() - target) / eps
    # Zero, but with that gradient.
    change = (gradient.to(scores) * (scores - scores.detach())).sum()
    return value.to(scores) + change
