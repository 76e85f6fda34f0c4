"""Windows cover a raster, and their scores spread as the definition says."""

import math

import numpy as np
import pytest

from urbancross_mm.inference.localization.lattice import Lattice, lattices_of


@pytest.mark.parametrize(
    ('width', 'height', 'side'), [(100, 60, 16), (16, 16, 16), (33, 17, 16), (50, 40, 15)]
)
def test_windows_overlap_by_half_and_end_at_the_border(width: int, height: int, side: int) -> None:
    lattice = Lattice.half_offset(width, height, side)
    count = np.zeros((height, width), int)
    for number in range(len(lattice)):
        column, row, across, down = lattice.window(number)
        assert across == down == side and 0 <= column <= width - side and 0 <= row <= height - side
        count[row : row + side, column : column + side] += 1
    assert count.min() >= 1
    inner = count[side // 2 : -(side // 2), side // 2 : -(side // 2)]
    assert not inner.size or inner.min() >= 4
    assert set(np.diff(lattice.rows)) <= {*range(1, side // 2 + 1)}


def test_sides_that_do_not_fit_become_one_that_does() -> None:
    lattices = lattices_of(300, 200, (256, 64, 512))
    assert [lattice.side for lattice in lattices] == [64, 200]
    assert [lattice.side for lattice in lattices_of(5, 3, (64,))] == [3]
    for sides in ((), (7,), (64, 0)):
        with pytest.raises(ValueError, match='at least 8'):
            lattices_of(100, 100, sides)


@pytest.mark.parametrize('apart', [False, True])
def test_the_spread_is_the_hann_weighted_mean_of_the_covering_windows(apart: bool) -> None:
    lattice = Lattice.half_offset(61, 45, 16)
    if apart:
        lattice = lattice.apart()[1]
    rng = np.random.default_rng(0)
    scores, known = rng.normal(size=lattice.shape), rng.random(lattice.shape) > 0.3
    down, across = np.arange(45) + 0.5, np.arange(61) + 0.5
    sums, weights = lattice.spread(scores, known, down, across)
    reach = 16 if apart else 8

    def hann(distance: float) -> float:
        return math.cos(math.pi / 2 * distance / reach) ** 2 if abs(distance) < reach else 0.0

    for y in range(0, 45, 4):
        for x in range(0, 61, 3):
            total = part = score = 0.0
            for i, row in enumerate(lattice.rows):
                for j, column in enumerate(lattice.columns):
                    weight = hann(y + 0.5 - row - 8) * hann(x + 0.5 - column - 8)
                    total += weight
                    part += weight * known[i, j]
                    score += weight * known[i, j] * scores[i, j]
            assert weights[y, x] == pytest.approx(part / total)
            assert sums[y, x] == pytest.approx(score / total)


def test_windows_that_do_not_overlap_are_every_second_one() -> None:
    lattice = Lattice.half_offset(100, 64, 16)
    numbers, coarse = lattice.apart()
    assert coarse.rows.tolist() == [0, 16, 32, 48]
    assert coarse.columns.tolist() == [0, 16, 32, 48, 64, 80, 84]
    assert [lattice.window(number) for number in numbers] == [
        coarse.window(number) for number in range(len(coarse))
    ]
    assert np.array_equal(lattice.centers()[numbers], coarse.centers())
