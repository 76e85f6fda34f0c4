"""Transport plans against the plain iteration and the assignment problem; pairs against loops."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from urbancross_mm.functional import scalings
from urbancross_mm.functional.scalings import LARGEST_SPREAD
from urbancross_mm.functional.transport import extend, potentials, sinkhorn

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


@pytest.mark.parametrize('eps', [0.2, 0.002])
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


@pytest.mark.parametrize('matched', [1.0, 0.6])
@pytest.mark.parametrize('light', [1.0, 1e-9, 0.0])
def test_a_spread_near_the_limit_is_multiplied_and_equals_the_logarithms(
    matched: float, light: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target with labels has one: the multiplication must neither overflow nor lose digits."""
    rows, columns = masses(20), masses(30)
    rows[3], columns[5] = light * rows[3], light * columns[5]
    lightest = sum(
        float((mass / mass.sum()).clamp(min=1e-30).min().log()) for mass in (rows, columns)
    )
    scores = torch.rand(20, 30, dtype=torch.float64)
    scores[:, 7] = 0  # everybody's last choice, and the best of the lightest row alone
    scores[3, 7], scores[0, 0] = 1, 0
    # Up to 0: else both ways differ by a constant that rows give and columns take.
    scores = (scores - 1) * (689.5 + lightest)
    logarithms = torch.logsumexp
    calls = []
    with monkeypatch.context() as patch:
        patch.setattr(
            scalings.torch, 'logsumexp', lambda x, dim: calls.append(x.dim()) or logarithms(x, dim)
        )
        fast = potentials(scores, 1.0, 300, rows, columns, matched)
        assert 2 not in calls
        patch.setattr(scalings, 'LARGEST_SPREAD', 0.0)
        exact = potentials(scores, 1.0, 300, rows, columns, matched)
        assert 2 in calls
    for one, other in zip(fast, exact):
        assert not one.isnan().any()
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-6)


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


# --- partial plans --------------------------------------------------------------------------------


def naive_partial(
    scores: Tensor, eps: float, rows: Tensor, columns: Tensor, matched: float
) -> np.ndarray:
    """Plain iteration on the scores with a spare row and a spare column, which do not meet."""
    kernel = np.ones((len(rows) + 1, len(columns) + 1))
    kernel[:-1, :-1] = np.exp(scores.double().numpy() / eps)
    kernel[-1, -1] = 0
    r, c = np.append(rows, 1 - matched), np.append(columns, 1 - matched)
    v = np.ones(len(c))
    for _ in range(20000):
        u = r / (kernel @ v)
        v = c / (kernel.T @ u)
    return (u[:, None] * kernel * v)[:-1, :-1]


@pytest.mark.parametrize('shift', [0.0, 900.0])
@pytest.mark.parametrize('matched', [0.9, 0.5, 0.1])
@pytest.mark.parametrize('uneven', [False, True])
def test_a_partial_plan_against_a_spare_row_and_column(
    matched: float, uneven: bool, shift: float
) -> None:
    eps, scores = 0.1, torch.rand(5, 7, dtype=torch.float64)
    rows = masses(5) if uneven else torch.full((5,), 0.2).double()
    columns = masses(7) if uneven else torch.full((7,), 1 / 7).double()
    expected = naive_partial(scores, eps, rows, columns, matched)
    if shift:  # one pair that no plan can hold: too wide a spread for scalings without logarithms
        scores = torch.cat([scores, torch.full((1, 7), -shift * eps).double()])
        rows = torch.cat([rows, torch.zeros(1).double()])
        expected = np.vstack([expected, np.zeros((1, 7))])
    assert (float(scores.max() - scores.min()) / eps < LARGEST_SPREAD) == (not shift)
    plan = sinkhorn(scores, eps, 2000, rows, columns, matched)
    np.testing.assert_allclose(plan.numpy(), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize('iterations', [1, 2, 50])
@pytest.mark.parametrize('eps', [0.3, 0.01, 1e-3])
@pytest.mark.parametrize('matched', [0.7, 0.25])
def test_a_partial_plan_moves_its_share_after_any_number_of_updates(
    matched: float, eps: float, iterations: int
) -> None:
    """Of sharp and of wide scores: the spare mass does not creep to its place."""
    columns = masses(9)
    plan = sinkhorn(torch.rand(6, 9, dtype=torch.float64), eps, iterations, None, columns, matched)
    torch.testing.assert_close(float(plan.sum()), matched, rtol=1e-9, atol=0)
    assert (plan >= 0).all() and (plan.sum(0) <= columns * (1 + 1e-9)).all()
    if iterations == 50 and eps == 0.3:
        assert (plan.sum(1) <= 1 / 6 + 1e-6).all()


def test_a_partial_plan_without_rest_is_the_full_plan() -> None:
    scores = torch.rand(5, 6, dtype=torch.float64)
    full = sinkhorn(scores, 0.1, 500)
    almost = sinkhorn(scores, 0.1, 500, matched=1 - 1e-9)
    torch.testing.assert_close(almost, full, rtol=1e-5, atol=1e-9)


def test_a_partial_plan_leaves_what_fits_worst() -> None:
    scores = torch.eye(4).double()
    scores[3, 3] = 0.1
    plan = sinkhorn(scores, 0.02, 500, matched=0.75)
    expected = torch.diag(torch.tensor([0.25, 0.25, 0.25, 0.0])).double()
    torch.testing.assert_close(plan, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize('eps', [0.2, 0.002])
@pytest.mark.parametrize('matched', [1.0, 0.6])
def test_potentials_rebuild_the_plan(eps: float, matched: float) -> None:
    scores, rows, columns = torch.rand(5, 7, dtype=torch.float64), masses(5), masses(7)
    plan = sinkhorn(scores, eps, 30, rows, columns, matched)
    found = potentials(scores, eps, 30, rows, columns, matched)
    rebuilt = rows[:, None] * (scores / eps + found.rows[:, None] + found.columns).exp() * columns
    torch.testing.assert_close(rebuilt, plan, rtol=1e-8, atol=1e-15)
    left = columns * (found.columns + found.spare_row).exp()
    torch.testing.assert_close(plan.sum(0) + left, columns)
    torch.testing.assert_close(float(left.sum()), 1 - matched)


@pytest.mark.parametrize('eps', [0.2, 0.01])
@pytest.mark.parametrize('matched', [1.0, 0.6])
def test_known_items_extend_to_their_own_potentials(eps: float, matched: float) -> None:
    scores, rows, columns = torch.rand(5, 7, dtype=torch.float64), masses(5), masses(7)
    found = potentials(scores, eps, 20000, rows, columns, matched, tolerance=1e-12)
    again = extend(scores, found.columns, found.spare_column, eps, columns)
    torch.testing.assert_close(again, found.rows, rtol=1e-6, atol=1e-6)
    again = extend(scores.t(), found.rows, found.spare_row, eps, rows)
    torch.testing.assert_close(again, found.columns, rtol=1e-6, atol=1e-6)


def test_a_new_row_like_a_known_one_gets_its_potential() -> None:
    scores = torch.rand(5, 7, dtype=torch.float64)
    found = potentials(scores, 0.2, 500)
    new = extend(torch.cat([scores[2:3], scores[2:3] + 1]), found.columns, found.spare_column, 0.2)
    torch.testing.assert_close(new, torch.stack([found.rows[2], found.rows[2] - 1 / 0.2]))


def test_a_tolerance_stops_early_and_no_later_than_needed() -> None:
    scores = torch.rand(20, 30, dtype=torch.float64)

    def error(tolerance: float, iterations: int = 5000) -> float:
        found = potentials(scores, 0.02, iterations, tolerance=tolerance)
        plan = (scores / 0.02 + found.rows[:, None] + found.columns).exp() / 600
        return float((plan.sum(1) - 1 / 20).abs().sum())

    assert error(0) < 1e-6 < 1e-5 < error(1e-3) < 1e-3 < error(1e-3, 3)


@pytest.mark.parametrize('matched', [0.0, -0.1, 1.1, float('nan')])
def test_no_share_of_the_mass(matched: float) -> None:
    with pytest.raises(ValueError, match=f'got {matched}'):
        sinkhorn(torch.rand(2, 2), matched=matched)


# --- against POT ----------------------------------------------------------------------------------


@pytest.mark.parametrize('eps', [0.2, 0.05])
def test_against_pot(eps: float) -> None:
    ot = pytest.importorskip('ot')
    scores, rows, columns = torch.rand(8, 11, dtype=torch.float64), masses(8), masses(11)
    expected = ot.sinkhorn(
        rows.numpy(), columns.numpy(), -scores.numpy(), eps, numItermax=2000, stopThr=1e-12
    )
    plan = sinkhorn(scores, eps, 3000, rows, columns)
    np.testing.assert_allclose(plan.numpy(), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize('matched', [0.8, 0.3])
def test_a_partial_plan_against_pot(matched: float) -> None:
    """With the spare row and column as items. POT's own entropic partial plan has none.

    Its items get their whole mass or not, while here the share of an item is soft, as its pairs
    are: the spare mass has entropy, too. Without entropy both are one, the next test.
    """
    ot = pytest.importorskip('ot')
    scores, rows, columns = torch.rand(8, 11, dtype=torch.float64), masses(8), masses(11)
    costs = np.zeros((9, 12))
    costs[:-1, :-1] = -scores.numpy()
    costs[-1, -1] = 1e3
    expected = ot.sinkhorn(
        np.append(rows, 1 - matched),
        np.append(columns, 1 - matched),
        costs,
        0.1,
        method='sinkhorn_log',
        numItermax=20000,
        stopThr=1e-13,
    )
    plan = sinkhorn(scores, 0.1, 3000, rows, columns, matched)
    np.testing.assert_allclose(plan.numpy(), expected[:-1, :-1], rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize('matched', [0.8, 0.3])
def test_a_sharp_partial_plan_scores_what_the_best_one_does(matched: float) -> None:
    ot = pytest.importorskip('ot')
    scores, rows, columns = torch.rand(6, 8, dtype=torch.float64), masses(6), masses(8)
    best = ot.partial.partial_wasserstein(
        rows.numpy(), columns.numpy(), 1 - scores.numpy(), m=matched
    )
    soft = ot.partial.entropic_partial_wasserstein(
        rows.numpy(), columns.numpy(), 1 - scores.numpy(), 5e-3, m=matched, numItermax=3000
    )
    plan = sinkhorn(scores, 2e-3, 5000, rows, columns, matched)
    assert (plan.sum(1) <= rows + 1e-4).all()
    total = float((plan * scores).sum())
    np.testing.assert_allclose(total, (best * scores.numpy()).sum(), atol=5e-3)
    np.testing.assert_allclose(total, (soft * scores.numpy()).sum(), atol=5e-3)
    np.testing.assert_allclose(plan.numpy(), best, atol=0.02)
