"""Many images in one grid."""

import numpy as np

from urbancross_mm.visualization.image_grid import draw_image_grid


def image(red: int, side: int = 10) -> np.ndarray:
    return np.full((side, side + 3, 3), (red, 0, 0), np.uint8)


def test_each_image_has_its_place_and_its_name() -> None:
    colors = list(range(100, 240, 20))
    sheet = draw_image_grid([image(red) for red in colors], ['a' * 99] * len(colors))
    found = [value for value in np.unique(sheet[..., 0]) if (sheet == (value, 0, 0)).all(-1).any()]
    assert set(colors) <= set(found)
    rows = [np.argwhere((sheet == (red, 0, 0)).all(-1)).min(axis=0) for red in colors]
    assert rows[0][0] == rows[5][0] < rows[6][0] and rows[0][1] == rows[6][1] < rows[1][1]
    unnamed = draw_image_grid([image(red) for red in colors], [''] * len(colors))
    assert (sheet != unnamed).any() and sheet.shape == unnamed.shape


def test_one_image_makes_a_small_sheet() -> None:
    assert draw_image_grid([image(200)], ['tile.jpg']).shape[1] < 200
