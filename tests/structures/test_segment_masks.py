"""Sidecars."""

from __future__ import annotations

import json

import numpy as np
import pytest

from urbancross_mm.structures.segment_masks import (
    decode_masks,
    encode_masks,
    read_sidecar,
    stored_size,
    write_sidecar,
)


def masks(height=6, width=8):
    out = np.zeros((3, height, width), dtype=bool)
    out[0, 1:3, 2:6] = True
    out[1, 4:, :2] = True
    return out


def test_what_is_written_is_read_best_score_first(tmp_path):
    write_sidecar(tmp_path / 'x/a.json', encode_masks(masks(), [0.2, 0.9, 1.0], (6, 8), 'test'))

    sidecar = read_sidecar(tmp_path / 'x/a.json')
    assert sidecar['source'] == 'test' and sidecar['image_size'] == sidecar['size'] == [6, 8]
    assert [segment['score'] for segment in sidecar['segments']] == [0.9, 0.2]  # the third is empty
    assert (decode_masks(sidecar) == masks()[[1, 0]]).all()


def test_area_and_box_are_in_pixels_of_the_image():
    (best, other) = encode_masks(masks(), [1, 0.5, 0.1], (60, 80), 'test')['segments']

    assert best['area'] == 800 and best['bbox'] == [20, 10, 40, 20]
    assert other['area'] == 400 and other['bbox'] == [0, 40, 20, 20]


@pytest.mark.parametrize('score', [float('nan'), float('inf')])
def test_a_score_that_cannot_be_ranked_is_not_written(score):
    with pytest.raises(ValueError, match=f'score {score}'):
        encode_masks(masks(), [0.5, score, 0.5], (6, 8), 'test')


def test_no_mask_at_all():
    assert decode_masks(encode_masks(masks()[:0], [], (6, 8), 'test')).shape == (0, 6, 8)


@pytest.mark.parametrize(
    'size, longest, stored',
    [
        ((600, 800), 256, (192, 256)),
        ((100, 50), 256, (100, 50)),
        ((100, 50), None, (100, 50)),
        ((3, 3000), 100, (1, 100)),
    ],
)
def test_stored_size_keeps_the_aspect_and_never_grows(size, longest, stored):
    assert stored_size(size, longest) == stored


@pytest.mark.parametrize(
    'text',
    [
        '{',
        '[]',
        json.dumps(dict(image_size=[6], size=[6, 8], segments=[])),
        json.dumps(dict(image_size=[6, 8], size=[6, 0], segments=[])),
        json.dumps(dict(image_size=[6, 8], size=[6, 8], segments=[dict(counts='x', score=1)])),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, text):
    (tmp_path / 'a.json').write_text(text)

    with pytest.raises(ValueError, match=r'a\.json'):
        read_sidecar(tmp_path / 'a.json')


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'a\.json'):
        read_sidecar(tmp_path / 'a.json')


@pytest.mark.parametrize(
    'change, message',
    [
        (
            lambda text: text[:-1] + ',"size":[4,4]}',
            r"a\.json cannot be read: .*'size' stands twice",
        ),
        (lambda text: text + text, r'a\.json cannot be read: it is not valid JSON: Extra data'),
    ],
)
def test_a_sidecar_is_read_strictly(tmp_path, change, message):
    sidecar = encode_masks(np.eye(4, dtype=np.uint8)[None], [1.0], (4, 4), 'test')
    text = json.dumps(sidecar)
    (tmp_path / 'a.json').write_text('\ufeff' + text, encoding='utf-8')
    assert read_sidecar(tmp_path / 'a.json') == sidecar  # a byte order mark is no fault
    (tmp_path / 'a.json').write_text(change(text))
    with pytest.raises(ValueError, match=message):
        read_sidecar(tmp_path / 'a.json')
