"""Histograms, maps of tiles and outlined masks."""

import numpy as np
import pytest

from urbancross_mm.visualization import draw_histograms, draw_tile_map, outline_masks
from urbancross_mm.visualization.dataset_figures import _edges


def test_histograms_are_deterministic_and_differ() -> None:
    groups = dict(train=[1, 2, 2, 3], test=[2, 9])
    first = draw_histograms(groups, 'words', whole=True)
    assert first.dtype == np.uint8 and first.ndim == 3
    assert (draw_histograms(groups, 'words', whole=True) == first).all()
    other = draw_histograms(dict(train=[1, 2, 2, 3], test=[2, 2]), 'words', whole=True)
    assert other.shape != first.shape or (other != first).any()


@pytest.mark.parametrize('values', [[3], [0.25, 0.25], [1, float('nan')], list(range(1000))])
def test_histograms_of_unusual_numbers(values: list[float]) -> None:
    assert draw_histograms(dict(a=values, none=[]), 'x').std() > 0


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(ValueError, match="'score'"):
        draw_histograms(dict(a=[], b=[float('nan')]), 'score')
    with pytest.raises(ValueError, match='no tile'):
        draw_tile_map(dict(a=np.zeros((0, 2))))


@pytest.mark.parametrize(
    ('low', 'high', 'bins'), [(0, 0, 1), (1, 10, 10), (0, 39, 40), (1, 90, 30)]
)
def test_bins_of_whole_numbers_hold_equally_many(low: int, high: int, bins: int) -> None:
    edges = _edges(np.array([low, high], dtype=float), whole=True)
    assert len(edges) == bins + 1 and edges[0] < low and edges[-1] > high
    assert len(set(np.diff(edges))) == 1 and (edges % 1 == 0.5).all()


def test_map_shows_every_group() -> None:
    groups = dict(
        train=np.array([[24.9, 60.1], [24.95, 60.12]]),
        test=np.array([[24.92, 60.11]]),
        val=np.zeros((0, 2)),
    )
    drawn = draw_tile_map(groups)
    colors = {tuple(pixel) for pixel in drawn.reshape(-1, 3)}
    assert len(colors) > 50 and (draw_tile_map(groups) == drawn).all()
    assert draw_tile_map(dict(one=np.array([[0.0, 90.0]]))).shape == drawn.shape


def test_outlines_follow_the_border_and_leave_the_rest() -> None:
    image = np.full((20, 30, 3), 7, dtype=np.uint8)
    masks = np.zeros((2, 20, 30), dtype=bool)
    masks[0, 4:14, 5:20], masks[1, 4:14, 19:25] = True, True
    drawn = outline_masks(image, masks)
    changed = (drawn != 7).any(axis=2)
    assert not changed[~masks.any(axis=0)].any() and not changed[6:12, 7:18].any()
    assert changed[4:6, 5:20].all() and changed[4:14, 5:7].all()
    # The first mask is on top where both have a border.
    assert (drawn[8, 19] == drawn[4, 5]).all() and (drawn[8, 23] != drawn[4, 5]).any()
    assert (outline_masks(image, masks[:0]) == image).all() and (image == 7).all()
