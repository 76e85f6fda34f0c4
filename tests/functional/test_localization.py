"""The indicators of semantic localization against what they mean."""

import math

import numpy as np
import pytest

from urbancross_mm.functional.localization import (
    Disc,
    area_under_roc,
    attention_shift,
    discrete_attention,
    mean_indicator,
    region_disc,
    significant_area,
    sliding_max,
)

SQUARE = np.array([[10, 10], [30, 10], [30, 30], [10, 30]], dtype=float)
NOWHERE = np.empty((0, 2))


def test_the_disc_of_a_square() -> None:
    assert region_disc(SQUARE) == Disc(20, 20, int(1.5 * math.hypot(10, 10)))
    assert region_disc(np.array([[1.0, 1], [1, 1], [1, 1]])).radius == 1


def test_significant_area_of_maps_that_are_known() -> None:
    assert significant_area(50, 50, 50, 100) == pytest.approx(1)
    assert significant_area(0, 50, 50, 100) == 0
    # Probability in proportion to the area: a ratio of one.
    assert significant_area(20, 100, 20, 100) == pytest.approx(1 - math.exp(-0.707), abs=1e-6)
    with pytest.raises(ValueError, match='no pixel'):
        significant_area(0, 1, 0, 100)


def test_shift_goes_from_the_middle_to_the_rim() -> None:
    disc = region_disc(SQUARE)
    assert attention_shift([disc], np.array([[20.0, 20]])) == 0
    assert attention_shift([disc], NOWHERE) == pytest.approx(1)
    assert attention_shift([disc], np.array([[90.0, 90]])) == pytest.approx(1)
    half = attention_shift([disc], np.array([[20 + disc.radius / 2, 20]]))
    assert half == pytest.approx((math.e**1.5 - 1) / (math.e**3 - 1))


def test_one_peak_in_each_region_is_best() -> None:
    disc, other = region_disc(SQUARE), Disc(200, 200, 20)
    one = np.array([[20.0, 20]])
    assert discrete_attention([disc], one) == 1
    assert discrete_attention([disc], NOWHERE) == 0
    assert discrete_attention([disc, other], one) == 0.5
    two = np.array([[15.0, 20], [25, 20]])
    assert discrete_attention([disc], two) == pytest.approx(
        0.5 * (1 - 5 / disc.radius) + math.exp(-2)
    )


def test_the_mean_indicator_reproduces_a_published_row() -> None:
    assert mean_indicator(0.6920, 0.3323, 0.6667) == pytest.approx(0.6772, abs=1e-4)


@pytest.mark.parametrize('size', [1, 2, 3, 6, 7, 40])
def test_sliding_max_is_the_largest_of_every_square(size: int) -> None:
    values = np.random.default_rng(0).integers(0, 256, (13, 17), dtype=np.uint8)
    expected = [
        [
            values[
                max(0, y - size // 2) : y + (size - 1) // 2 + 1,
                max(0, x - size // 2) : x + (size - 1) // 2 + 1,
            ].max()
            for x in range(17)
        ]
        for y in range(13)
    ]
    assert np.array_equal(sliding_max(values, size), expected)


def test_the_area_under_the_curve_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    scores, inside = rng.integers(0, 6, (7, 8)).astype(float), rng.random((7, 8)) < 0.4
    scores[0, :3] = np.nan
    right, wrong = scores[inside], scores[~inside]
    pairs = [
        (a > b) + 0.5 * (a == b) for a in right[~np.isnan(right)] for b in wrong[~np.isnan(wrong)]
    ]
    assert area_under_roc(scores, inside) == pytest.approx(np.mean(pairs))
    assert area_under_roc(inside.astype(float), inside) == 1
    assert math.isnan(area_under_roc(scores, np.zeros_like(inside)))
