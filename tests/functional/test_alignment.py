"""Distances of distributions against loops over all pairs of samples."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from urbancross_mm.functional.alignment import coral, mk_mmd, summed_mk_mmd
from urbancross_mm.functional.similarity import normalize

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
SIZES = [(6, 6), (9, 4), (4, 9), (2, 2)]
DISTANCES = [mk_mmd, coral]


def naive_mk_mmd(source: Tensor, target: Tensor) -> float:
    """One pair at a time."""
    everything = [*source.tolist(), *target.tolist()]
    squared = [[sum((a - b) ** 2 for a, b in zip(x, y)) for y in everything] for x in everything]
    size, cut = len(everything), len(source)
    sigma = sum(map(sum, squared)) / (size * (size - 1))

    def kernel(i: int, j: int) -> float:
        return sum(math.exp(-squared[i][j] / (b * sigma)) for b in BANDWIDTHS) / len(BANDWIDTHS)

    def mean(rows: range, columns: range) -> float:
        values = [kernel(i, j) for i in rows for j in columns if i != j]
        return sum(values) / len(values)

    first, second = range(cut), range(cut, size)
    return mean(first, first) + mean(second, second) - 2 * mean(first, second)


def naive_coral(source: Tensor, target: Tensor) -> float:
    def covariance(rows: list[list[float]], a: int, b: int) -> float:
        mean = [sum(row[k] for row in rows) / len(rows) for k in (a, b)]
        return sum((row[a] - mean[0]) * (row[b] - mean[1]) for row in rows) / (len(rows) - 1)

    width = source.shape[1]
    return sum(
        (covariance(source.tolist(), a, b) - covariance(target.tolist(), a, b)) ** 2
        for a in range(width)
        for b in range(width)
    ) / (4 * width**2)


@pytest.mark.parametrize('distance, naive', [(mk_mmd, naive_mk_mmd), (coral, naive_coral)])
@pytest.mark.parametrize('size', SIZES)
def test_against_a_loop(distance: Callable, naive: Callable, size: tuple[int, int]) -> None:
    source = torch.randn(size[0], 3, dtype=torch.float64)
    target = 2 * torch.randn(size[1], 3, dtype=torch.float64) + 1
    expected = naive(source, target)
    assert distance(source, target).item() == pytest.approx(expected, rel=1e-8)
    assert distance(source.float(), target.float()).item() == pytest.approx(expected, rel=1e-3)
    assert distance(target, source).item() == pytest.approx(expected, rel=1e-8)


def test_other_bandwidths() -> None:
    source, target = torch.randn(5, 3), torch.randn(5, 3) + 1
    single = [mk_mmd(source, target, [b]).item() for b in BANDWIDTHS]
    assert mk_mmd(source, target).item() == pytest.approx(sum(single) / 5, rel=1e-4)
    assert len(set(single)) == 5


@pytest.mark.parametrize('distance', DISTANCES)
def test_equal_distributions_are_close_and_others_are_not(distance: Callable) -> None:
    source, same = torch.randn(400, 4), torch.randn(300, 4)
    near = distance(source, same).item()
    far = distance(source, 3 * same + 2).item()
    assert abs(near) < 0.01 < 10 * 0.01 < far


def test_the_estimate_of_mmd_is_unbiased() -> None:
    """Mean 0 over draws of one distribution; with a sample's kernel to itself it is about 0.05."""
    draws = [mk_mmd(torch.randn(8, 4), torch.randn(8, 4)).item() for _ in range(300)]
    assert abs(sum(draws) / len(draws)) < 0.01 and min(draws) < 0


def test_coral_does_not_see_the_mean() -> None:
    vectors = torch.randn(20, 4)
    assert coral(vectors, vectors + 5).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize('distance', DISTANCES)
def test_a_step_along_the_gradient_brings_the_domains_closer(distance: Callable) -> None:
    source = torch.randn(12, 4)
    target = (torch.randn(7, 4) * 2 + 1).requires_grad_()
    before = distance(source, target)
    before.backward()
    assert torch.isfinite(target.grad).all() and target.grad.abs().sum() > 0
    step = 0.1 * before.item() / target.grad.square().sum()
    assert distance(source, target.detach() - step * target.grad) < before


def test_the_width_of_the_kernels_is_no_way_to_lower_the_mmd() -> None:
    """With a gradient, it would cancel that of making all vectors longer."""
    vectors = torch.randn(12, 4, requires_grad=True)
    mk_mmd(vectors[:6], 2 * vectors[6:]).backward()
    assert abs((vectors.grad * vectors).sum().item()) > 1e-3


@pytest.mark.parametrize('distance', DISTANCES)
def test_collapsed_vectors_have_distance_0_and_a_finite_gradient(distance: Callable) -> None:
    vectors = torch.ones(6, 4, requires_grad=True)
    value = distance(vectors[:3], vectors[3:])
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(vectors.grad).all()


@pytest.mark.parametrize('distance', DISTANCES)
@pytest.mark.parametrize('length', [1e-4, 1.0, 1e4])
@pytest.mark.parametrize('spread', [1.0, 1e-2, 1e-3, 3e-4])
def test_close_vectors_keep_their_digits(distance: Callable, spread: float, length: float) -> None:
    """At a mean cosine of 0.9999999 the expanded square had a gradient that was 200 % off."""
    center = normalize(torch.randn(1, 64))
    source = length * normalize(center + spread * normalize(torch.randn(20, 64)))
    target = length * normalize(center + spread * normalize(torch.randn(15, 64) + 0.3))
    results = []
    for dtype in (torch.float32, torch.float64):
        leaves = [rows.to(dtype, copy=True).requires_grad_() for rows in (source, target)]
        value = distance(*leaves)
        value.backward()
        results.append((value.item(), torch.cat([leaf.grad.double() for leaf in leaves])))
    (value, grad), (exact, exact_grad) = results
    assert value == pytest.approx(exact, rel=1e-4)
    assert (grad - exact_grad).norm() < 1e-5 * exact_grad.norm()


@pytest.mark.parametrize('distance', DISTANCES)
def test_one_sample_is_no_distribution(distance: Callable) -> None:
    with pytest.raises(ValueError, match='5 and 1'):
        distance(torch.randn(5, 2), torch.randn(1, 2))


@pytest.mark.parametrize('distance', DISTANCES)
def test_half_precision_is_computed_in_full(distance: Callable) -> None:
    source, target = torch.randn(6, 4).bfloat16(), torch.randn(5, 4).bfloat16()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        under = distance(source, target)
    assert under.dtype == torch.float32
    torch.testing.assert_close(under, distance(source.float(), target.float()))


def test_the_released_sum_against_a_loop() -> None:
    first, second = torch.randn(4, 3).double(), torch.randn(4, 3).double() + 1
    everything = [*first, *second]
    squared = [[float((a - b).square().sum()) for b in everything] for a in everything]
    sigma = sum(map(sum, squared)) / (8 * 7)
    expected = 0.0
    for i in range(8):
        for j in range(8):
            sign = 1 if (i < 4) == (j < 4) else -1
            for power in range(5):
                expected += sign * math.exp(-squared[i][j] / (sigma / 4 * 2**power))
    assert summed_mk_mmd(first, second).item() == pytest.approx(expected)


def test_only_the_released_sum_grows_with_the_batch() -> None:
    made = torch.Generator().manual_seed(0)
    first = torch.randn(512, 8, generator=made)
    second = torch.randn(512, 8, generator=made) + 1
    small, large = (mk_mmd(first[:n], second[:n]).item() for n in (64, 512))
    assert large == pytest.approx(small, rel=0.3)
    sums = [summed_mk_mmd(first[:n], second[:n], ceiling=1e9).item() for n in (64, 512)]
    assert sums[1] / sums[0] == pytest.approx(64, rel=0.3)


def test_the_released_sum_is_bounded_and_stands_equal_vectors() -> None:
    first = torch.randn(64, 4, requires_grad=True)
    far = summed_mk_mmd(first, first.detach() + 9)
    far.backward()
    assert far == 200 and first.grad.abs().sum() == 0
    ones = torch.ones(4, 3, requires_grad=True)
    same = summed_mk_mmd(ones, ones)
    same.backward()
    assert same == 0 and ones.grad.isfinite().all()
    with pytest.raises(ValueError, match='got 4 and 3'):
        summed_mk_mmd(ones, ones[:3])


def test_two_views_of_the_same_samples() -> None:
    first = torch.randn(8, 4)
    assert mk_mmd(first, first, paired=True).item() == pytest.approx(0, abs=1e-6)
    assert mk_mmd(first, first).item() < -0.05  # as if drawn apart
    second = first + 0.5 * torch.randn(8, 4)
    # The released sum, over 5 kernels and 8 * 8 pairs.
    expected = summed_mk_mmd(first, second, ceiling=1e9).item() / (5 * 64)
    assert expected > 0
    assert mk_mmd(first, second, paired=True).item() == pytest.approx(expected, rel=1e-5)
