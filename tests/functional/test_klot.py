"""KLOT against the divergence itself, through a Sinkhorn that has converged."""

import pytest
import torch
from torch import Tensor

from urbancross_mm.functional.klot import klot
from urbancross_mm.functional.transport import sinkhorn


def random_plan(rows: int = 5, columns: int = 7) -> Tensor:
    """Some plan with uneven marginals."""
    plan = torch.rand(rows, columns, dtype=torch.float64) ** 3
    return plan / plan.sum()


def divergence(plan: Tensor, scores: Tensor, eps: float) -> Tensor:
    own = sinkhorn(scores, eps, 2000, plan.sum(dim=1), plan.sum(dim=0))
    return (plan * (plan / own).log()).sum()


@pytest.mark.parametrize('eps', [0.1, 0.5])
def test_value_and_gradient(eps: float) -> None:
    scores, plan = torch.rand(5, 7, dtype=torch.float64, requires_grad=True), random_plan()
    loss = klot(scores, plan, eps, 2000)
    torch.testing.assert_close(loss, divergence(plan, scores, eps))
    assert loss > 0.01
    (gradient,) = torch.autograd.grad(loss, scores)
    own = sinkhorn(scores, eps, 2000, plan.sum(dim=1), plan.sum(dim=0))
    torch.testing.assert_close(gradient, (own - plan) / eps, rtol=0, atol=1e-9)
    step = 1e-4
    for i, j in [(0, 0), (2, 3), (4, 6), (1, 5)]:
        moved = torch.zeros_like(scores)
        moved[i, j] = step
        change = divergence(plan, scores + moved, eps) - divergence(plan, scores - moved, eps)
        torch.testing.assert_close(gradient[i, j], change / (2 * step), rtol=1e-4, atol=1e-7)


def test_scores_that_give_the_plan_have_no_loss() -> None:
    scores = torch.rand(4, 6, dtype=torch.float64, requires_grad=True)
    plan = sinkhorn(scores, 0.2, 2000, torch.rand(4), torch.rand(6))
    loss = klot(scores, plan, 0.2, 2000)
    loss.backward()
    assert scores.grad is not None
    assert loss.abs() < 1e-9 and scores.grad.abs().max() < 1e-7


def test_descent_reaches_the_plan() -> None:
    plan, scores = random_plan(), torch.zeros(5, 7, dtype=torch.float64, requires_grad=True)
    before = klot(scores, plan, 0.5).detach()
    for _ in range(300):
        (gradient,) = torch.autograd.grad(klot(scores, plan, 0.5), scores)
        scores = (scores - gradient).detach().requires_grad_()
    assert klot(scores, plan, 0.5) < before / 20


def test_a_plan_of_any_sum_and_empty_rows() -> None:
    scores, plan = torch.rand(3, 4, requires_grad=True), torch.tensor([[1.0, 2, 0, 0]] * 3)
    plan[1] = 0
    loss = klot(scores, plan)
    torch.testing.assert_close(loss, klot(scores, plan / 100))
    loss.backward()
    assert loss.isfinite() and scores.grad is not None and scores.grad.isfinite().all()
    assert scores.grad[1].abs().max() < 1e-6  # an item without mass is none of this plan


def test_sharp_scores_have_a_finite_loss() -> None:
    """exp of the logarithms of that plan would be 0, and the logarithm of that infinite."""
    scores = (10 * torch.eye(4)).requires_grad_()
    loss = klot(scores, torch.eye(4).roll(1, 0), 1e-2, 10)
    assert loss.isfinite() and loss > 100


def test_half_precision() -> None:
    scores = torch.rand(3, 4).bfloat16().requires_grad_()
    loss = klot(scores, random_plan(3, 4))
    loss.backward()
    assert loss.dtype == torch.float32
    assert scores.grad is not None and scores.grad.dtype == torch.bfloat16


@pytest.mark.parametrize(
    'plan, words',
    [
        (torch.ones(3, 2), r'\(2, 3\).*\(3, 2\)'),
        (torch.zeros(2, 3), 'not all 0'),
        (torch.tensor([[1.0, 1, 1], [1, 1, -1]]), '-1.0|from 0'),
        (torch.full((2, 3), float('nan')), 'nan'),
    ],
)
def test_what_is_no_plan_is_refused(plan: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        klot(torch.rand(2, 3), plan)


def test_eps_is_checked() -> None:
    with pytest.raises(ValueError, match='got 0'):
        klot(torch.rand(2, 3), torch.ones(2, 3), 0)
