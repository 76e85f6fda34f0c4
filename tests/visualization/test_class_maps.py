"""Colors of classes, and the sheet of an image with its class map."""

import numpy as np
import pytest

from urbancross_mm.visualization import color_classes, draw_class_map

NAMES, PALETTE = ['ground', 'pond'], [(10, 200, 30), (0, 0, 205)]
IMAGE = np.full((20, 40, 3), 250, np.uint8)


def contains(image: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((image == color).all(axis=-1).any())


def test_each_class_has_its_color() -> None:
    colored = color_classes(np.array([[0, 1, 255]], np.uint8), PALETTE)
    assert colored.tolist() == [[[10, 200, 30], [0, 0, 205], [128, 128, 128]]]


def test_a_sheet_shows_image_map_overlay_and_legend() -> None:
    labels = np.zeros((20, 40), np.uint8)
    sheet = draw_class_map(IMAGE, labels, {'ground': 1.0}, NAMES, PALETTE)
    assert sheet.dtype == np.uint8 and sheet.shape[0] == 160 + 16
    for left, color in ((8, (250,) * 3), (336, PALETTE[0]), (664, (130, 225, 140))):
        assert np.abs(sheet[8:168, left : left + 320].astype(int) - color).max() <= 1
    assert contains(sheet[:, 992:], PALETTE[0]) and not contains(sheet, PALETTE[1])
    labels[0, 0] = 1
    more = draw_class_map(IMAGE, labels, {'ground': 0.9999, 'pond': 0.0001}, NAMES, PALETTE)
    assert contains(more[:, 992:], PALETTE[1])


def test_colors_are_distinct_where_none_are_known() -> None:
    labels = np.arange(15, dtype=np.uint8).repeat(8).reshape(10, 12)
    names = [f'class {k}' for k in range(15)]
    sheet = draw_class_map(
        np.zeros((10, 12, 3), np.uint8), labels, dict.fromkeys(names, 1 / 15), names
    )
    middle = sheet[8:274, 336:656].reshape(-1, 3)
    assert len(np.unique(middle, axis=0)) == 15


def test_a_map_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r'\(20, 40\).*\(20, 41\)'):
        draw_class_map(IMAGE, np.zeros((20, 41), np.uint8), {}, NAMES)
