"""Transport plans against the plain iteration and the assignment problem; pairs against loops."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from urbancross_mm.functional.transport import LARGEST_SPREAD, sinkhorn

# Few iterations and tiny temperatures are what some tests are about.
pytestmark = pytest.mark.filterwarnings('ignore:sinkhorn has not converged')


def masses(size: int) -> Tensor:
    mass = torch.rand(size, dtype=torch.float64) + 0.1
    return mass / mass.sum()


def naive_sinkhorn(
    scores: Tensor, eps: float, rows: Tensor, columns: Tensor, iterations: int
) -> np.ndarray:
    """Sinkhorn's own iteration, without logarithms, one number at a time."""
    kernel = np.exp(scores.double().numpy() / eps)
    u, v = np.ones(len(rows)), np.ones(len(columns))
    for _ in range(iterations):
        u = np.array([rows[i] / sum(kernel[i] * v) for i in range(len(u))])
        v = np.array([columns[j] / sum(kernel[:, j] * u) for j in range(len(v))])
    return u[:, None] * kernel * v


@pytest.mark.parametrize('eps', [0.2, 0.005])
@pytest.mark.parametrize('uneven', [False, True])
@pytest.mark.parametrize('iterations', [1, 3, 50])
def test_against_the_plain_iteration(eps: float, uneven: bool, iterations: int) -> None:
    scores = torch.rand(5, 7, dtype=torch.float64) * 2 - 1
    spread = float(scores.max() - scores.min()) / eps
    assert (spread < LARGEST_SPREAD) == (eps == 0.2)  # one of each way to compute it
    rows, columns = (masses(5), masses(7)) if uneven else (None, None)
    plan = sinkhorn(scores, eps, iterations, rows, columns)
    expected = naive_sinkhorn(
        scores,
        eps,
        torch.ones(5).double() / 5 if rows is None else rows,
        torch.ones(7).double() / 7 if columns is None else columns,
        iterations,
    )
    np.testing.assert_allclose(plan.numpy(), expected, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize('size', [(6, 9), (9, 6), (1, 4), (4, 1)])
def test_marginals(size: tuple[int, int]) -> None:
    rows, columns = masses(size[0]), masses(size[1])
    plan = sinkhorn(torch.rand(size), 0.1, 100, rows, columns)
    assert plan.dtype == torch.float32 and (plan >= 0).all()
    torch.testing.assert_close(plan.sum(0), columns.float(), rtol=1e-5, atol=0)  # scaled last
    torch.testing.assert_close(plan.sum(1), rows.float(), rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize('eps', [0.05, 1e-3])
def test_a_constant_changes_nothing(eps: float) -> None:
    scores = torch.rand(4, 5, dtype=torch.float64)
    torch.testing.assert_close(sinkhorn(scores + 50, eps), sinkhorn(scores, eps), rtol=1e-6, atol=0)


def test_masses_need_not_be_normalized() -> None:
    scores, columns = torch.rand(3, 4), torch.tensor([1, 2, 3, 4])
    plan = sinkhorn(scores, columns=columns)
    torch.testing.assert_close(plan, sinkhorn(scores, columns=columns / 10))
    torch.testing.assert_close(plan.sum(0), columns / 10)


@pytest.mark.parametrize('eps', [1e-3, 1e-6])
def test_a_tiny_eps_neither_overflows_nor_underflows(eps: float) -> None:
    plan = sinkhorn(torch.rand(8, 8) * 2 - 1, eps, 30)
    assert torch.isfinite(plan).all()
    torch.testing.assert_close(plan.sum(0), torch.full((8,), 1 / 8))


def test_an_item_without_mass_gets_none() -> None:
    plan = sinkhorn(torch.rand(3, 3), columns=torch.tensor([0.5, 0.0, 0.5]))
    assert torch.isfinite(plan).all() and plan[:, 1].max() < 1e-20


def test_a_large_eps_gives_the_product_of_the_masses() -> None:
    rows, columns = masses(4), masses(6)
    plan = sinkhorn(torch.rand(4, 6, dtype=torch.float64), 1e5, rows=rows, columns=columns)
    torch.testing.assert_close(plan, rows[:, None] * columns, rtol=1e-4, atol=0)


def test_a_small_eps_gives_the_best_assignment() -> None:
    scores = torch.rand(6, 6, dtype=torch.float64)
    best = max(
        itertools.permutations(range(6)),
        key=lambda columns: sum(scores[i, j].item() for i, j in enumerate(columns)),
    )
    assert list(best) != scores.argmax(1).tolist()  # no matter of nearest neighbors
    plan = sinkhorn(scores, 2e-3, 3000)
    torch.testing.assert_close(
        plan * 6, torch.eye(6, dtype=torch.float64)[list(best)], rtol=0, atol=0.05
    )


def test_no_sentence_attracts_all_images() -> None:
    """A hub: column 0 is everyone's nearest, but gets no more than its share."""
    scores = 0.8 * torch.eye(5)
    scores[:, 0] = 0.9
    scores[0, 0] = 1.0
    assert (scores.argmax(1) == 0).all()
    assert sinkhorn(scores, 0.02, 500).argmax(1).tolist() == [0, 1, 2, 3, 4]


def test_no_gradient_and_half_precision() -> None:
    scores = torch.rand(3, 4, requires_grad=True)
    assert not sinkhorn(scores).requires_grad
    assert sinkhorn(scores.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(
    'args, words',
    [
        ((torch.rand(2, 2), 0.0), 'positive, got 0.0 and 50'),
        ((torch.rand(2, 2), 0.1, 0), 'positive, got 0.1 and 0'),
        ((torch.rand(0, 2),), r'scores of shape \(0, 2\)'),
        ((torch.tensor([[1.0, float('nan')]]),), 'scores hold NaN or infinity'),
        ((torch.tensor([[1.0], [float('inf')]]),), 'scores hold NaN or infinity'),
        ((torch.tensor([[1.0, -float('inf')]]), 1e-6), 'scores hold NaN or infinity'),
        ((torch.rand(2, 2), 0.1, 5, torch.tensor([1.0, float('nan')])), 'masses must be finite'),
        ((torch.rand(2, 2), 0.1, 5, torch.tensor([2.0, -1.0])), r'got \[2.0, -1.0\]'),
        ((torch.rand(2, 2), 0.1, 5, None, torch.zeros(2)), 'not all 0'),
        (
            (torch.rand(2, 3), 0.1, 5, torch.ones(3)),
            r'2 items need as many masses, got shape \(3,\)',
        ),
    ],
)
def test_mistakes(args: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sinkhorn(*args)


@pytest.mark.parametrize('eps', [2e-3, 1e-4])
def test_a_plan_that_has_not_converged_is_said(eps: float) -> None:
    scores = torch.rand(60, 60)
    scores[:, :3] += 1  # everybody's first choice
    with pytest.warns(RuntimeWarning, match=f'iterations=2 .*eps={eps}'):
        sinkhorn(scores, eps, 2)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        sinkhorn(scores, 0.5, 50)


def test_what_would_give_a_plan_of_no_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match='eps .* nan'):
        sinkhorn(torch.rand(2, 2), eps=float('nan'))
    with pytest.raises(ValueError, match='eps=0.0001'):
        sinkhorn(torch.rand(2, 2) * 1e38, eps=1e-4)
