"""The pure decisions about masks."""

import numpy as np

from tests.datasets import tiny
from urbancross_mm.curation.segments.segment_choice import (
    best,
    large_enough,
    largest,
    make_sidecar,
    on_white,
)
from urbancross_mm.structures.segment_masks import decode_masks, encode_masks

SEGMENTS = [dict(area=area) for area in (500, 1000, 1001, 4000, 1001)]


def test_area_in_pixels_or_as_a_part() -> None:
    assert [segment['area'] for segment in large_enough(SEGMENTS, 1000, (100, 200))] == [
        1001,
        4000,
        1001,
    ]
    assert [segment['area'] for segment in large_enough(SEGMENTS, 0.2, (100, 100))] == [4000]
    assert large_enough(SEGMENTS, 0, (9, 9)) == SEGMENTS
    assert large_enough(SEGMENTS, 1, (9, 9)) == SEGMENTS  # one pixel, not the whole image
    assert large_enough([], 1000, (9, 9)) == []


def test_the_largest_are_candidates() -> None:
    segments = [dict(area=area, name=name) for name, area in zip('abcd', (5, 9, 5, 7))]
    assert [segment['name'] for segment in largest(segments, 3)] == ['b', 'd', 'a']
    assert len(largest(segments, 50)) == 4


def test_best_by_score_then_area() -> None:
    assert best(SEGMENTS, [0.1, 0.3, 0.2, 0.3, 0.9], 3) == [4, 3, 1]
    # What is equal on disk is equal here.
    assert best(SEGMENTS, [0.1, 0.30000001, 0.2, 0.3, 0.0], 2) == [3, 1]
    assert best([], [], 3) == []


def test_white_outside_the_mask() -> None:
    image = np.minimum(tiny.image(8, 6), 200)
    mask = np.zeros((4, 3), dtype=bool)
    mask[1:3, 1] = True
    painted = on_white(image, mask)
    inside = np.zeros((8, 6), dtype=bool)
    inside[2:6, 2:4] = True
    assert (painted[inside] == image[inside]).all() and (painted[~inside] == 255).all()
    assert painted.dtype == np.uint8


def test_sidecar_keeps_true_areas_and_order() -> None:
    masks = np.zeros((3, 80, 40), dtype=bool)
    masks[0, 10:50, 5:25], masks[1, 1, 1], masks[2, 60:80, 3:38] = True, True, True
    known = encode_masks(masks, [0.9, 0.8, 0.7], (80, 40), 'sam:vit_h')['segments']
    made = make_sidecar(known, masks, [0.1, 0.2, 0.1], (80, 40), 20, 'sam:vit_h')
    # The single pixel is gone at a quarter of the size.
    assert [segment['area'] for segment in made['segments']] == [800, 700]
    assert [segment['quality'] for segment in made['segments']] == [0.9, 0.7]
    assert made['size'] == [20, 10] and made['image_size'] == [80, 40]
    small = decode_masks(made)
    assert small.shape == (2, 20, 10) and abs(small[0].sum() * 16 - 800) < 200
    empty = make_sidecar([], masks[:0], [], (80, 40), 20, 'grid')
    assert empty['segments'] == [] and decode_masks(empty).shape == (0, 20, 10)
