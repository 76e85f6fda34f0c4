"""Grids and sheets show what they are given."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from urbancross_mm.structures import SearchHit
from urbancross_mm.visualization import (
    RetrievalVisualizer,
    draw_sample_sheet,
    overlay_classes,
    overlay_masks,
)


def test_grid_frames_relevant_in_green_and_others_in_red(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20, 3), 77, np.uint8)).save(tmp_path / 'x.png')
    path = str(tmp_path / 'x.png')
    grid = RetrievalVisualizer(thumb_size=60).draw_grid(
        'a query',
        [
            SearchHit(path, 0.5, True),
            SearchHit(path, 0.4, False),
            SearchHit(path, 0.3, None),
        ],
    )
    colors = {tuple(c) for c in grid.reshape(-1, 3)}
    assert {(34, 139, 34), (200, 40, 40), (120, 120, 120), (77, 77, 77)} <= colors
    with_image = RetrievalVisualizer(thumb_size=60).draw_grid(Path(path), [SearchHit(path, 0.5)])
    assert (with_image == 77).all(axis=2).sum() == 2 * 52 * 52


def test_an_empty_grid_is_an_error() -> None:
    with pytest.raises(ValueError, match="'nothing'"):
        RetrievalVisualizer().draw_grid('nothing', [])


def test_overlay_touches_the_mask_only() -> None:
    image = np.full((4, 4, 3), 100, np.uint8)
    masks = np.zeros((1, 4, 4), bool)
    masks[0, 1, 2] = True
    drawn = overlay_masks(image, masks)
    changed = (drawn != image).any(axis=2)
    assert changed.tolist() == masks[0].tolist()


def test_sheet_holds_image_segments_and_captions() -> None:
    image = np.full((10, 10, 3), 50, np.uint8)
    segment = np.full((10, 10, 3), 90, np.uint8)
    bare = draw_sample_sheet(image, ['one'], 'title')
    sheet = draw_sample_sheet(
        image, ['one', 'two ' * 60], 'title', [segment] * 3, np.ones((1, 10, 10), bool)
    )
    assert (bare == 50).all(axis=2).sum() == 200 * 200
    assert (sheet == 90).all(axis=2).any() and sheet.shape[0] > bare.shape[0]


def test_classes_are_tinted_and_pixels_without_one_are_not() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    labels = np.array([[0, 1], [255, 2]])
    drawn = overlay_classes(image, labels, [[0, 0, 0], [200, 0, 40]])
    assert drawn[0].tolist() == [[50, 50, 50], [150, 50, 70]]
    assert drawn[1, 0].tolist() == [100, 100, 100]
    assert drawn[1, 1].tolist() not in drawn[0].tolist()  # a class that the palette lacks
    assert (image == 100).all()
    plain = draw_sample_sheet(image, [], 'title')
    sheet = draw_sample_sheet(image, [], 'title', labels=0 * labels, palette=[[0, 0, 0]])
    assert not (plain == 50).all(axis=2).any()
    assert (sheet == 50).all(axis=2).sum() == 200 * 200
