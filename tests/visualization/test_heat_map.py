"""A map of scores over its image."""

import numpy as np
import pytest

from urbancross_mm.visualization import draw_heat_map
from urbancross_mm.visualization.heat_map import scale_values

GRAY = np.full((40, 60, 3), 100, np.uint8)


def test_high_scores_are_bright_and_no_data_is_the_image() -> None:
    values = np.zeros((4, 6), np.float32)
    values[0, 5], values[:, :2] = 1, np.nan
    drawn = draw_heat_map(GRAY, values).astype(int)
    assert drawn.shape == (40, 60, 3)
    assert (drawn[:, :15] == 100).all()
    bright = np.unravel_index(drawn.sum(axis=2).argmax(), (40, 60))
    assert bright[0] < 10 and bright[1] >= 50
    assert (drawn[30:, 30:50].sum(axis=2) < 300).all()
    assert (draw_heat_map(GRAY, np.full((4, 6), np.nan)) == 100).all()


def test_a_map_that_is_larger_than_its_image() -> None:
    """The last cells reach over the border: 40 x 60 pixels in cells of 16."""
    values = np.zeros((3, 4), np.float32)
    values[0, 2] = 1
    drawn = draw_heat_map(GRAY, values, (40 / 16, 60 / 16)).sum(axis=2)
    bright = np.unravel_index(drawn.argmax(), drawn.shape)
    assert abs(bright[0] - 4) <= 4 and abs(bright[1] - 40) <= 2


def test_values_are_scaled_to_the_range_from_0_to_1() -> None:
    scaled = scale_values(np.array([[1.0, np.nan], [3, 2]]))
    assert scaled.tolist() == [[0, pytest.approx(np.nan, nan_ok=True)], [1, 0.5]]
    assert (scale_values(np.full((2, 2), 7.0)) == 0).all()
    assert np.isnan(scale_values(np.full((2, 2), np.nan))).all()
