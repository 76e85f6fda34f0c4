"""Run lengths, against the decoder of pycocotools and against what it does not notice."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pycocotools import mask as coco

from urbancross_mm.datasets.transforms import LoadSegments
from urbancross_mm.structures.run_lengths import check_runs, decode_runs
from urbancross_mm.structures.segment_masks import decode_masks, read_sidecar

SIZE = (30, 34)


def texts_of(masks: np.ndarray) -> list[str]:
    return [coco.encode(np.asfortranarray(mask))['counts'].decode() for mask in masks]


def runs_of(mask: np.ndarray) -> list[int]:
    """Naive: count along the columns, zeros first."""
    runs, value = [0], 0
    for pixel in mask.T.reshape(-1).tolist():
        if pixel != value:
            runs, value = [*runs, 0], pixel
        runs[-1] += 1
    return runs


def write(path, counts, size=SIZE, image_size=None, **fields):
    segment = dict(counts=counts, score=0.5, area=10, bbox=[0, 0, 1, 1])
    path.write_text(
        json.dumps(
            {
                **dict(
                    image_size=list(image_size or size),
                    size=list(size),
                    source='x',
                    segments=[{**segment, **fields}],
                )
            }
        )
    )


@pytest.mark.parametrize('share', [0.0, 0.02, 0.5, 0.98, 1.0])
@pytest.mark.parametrize('size', [(1, 1), (1, 70), (37, 1), (30, 34), (200, 190)])
def test_masks_are_those_of_pycocotools_in_both_forms(size, share):
    rng = np.random.default_rng(round(100 * share) + size[0])
    masks = (rng.random((5, *size)) < share).astype(np.uint8)
    masks[0] = 0
    masks[1, size[0] // 2 :] = 1
    masks[2, :, size[1] // 3 :] = 1
    texts = texts_of(masks)
    wanted = coco.decode([dict(size=size, counts=text.encode()) for text in texts])
    assert np.array_equal(decode_runs(texts, size), wanted.transpose(2, 0, 1))
    assert np.array_equal(decode_runs(texts, size), masks)
    lists = [runs_of(mask) for mask in masks]
    assert np.array_equal(decode_runs(lists, size), masks)
    assert np.array_equal(decode_runs([*texts[:2], *lists[2:]], size), masks)
    assert np.concatenate(
        [
            coco.frPyObjects(dict(counts=one, size=size), *size)['counts'] == text.encode()
            for one, text in zip(lists, texts)
        ],
        axis=None,
    ).all()


def test_no_mask_at_all():
    assert decode_runs([], SIZE).shape == (0, *SIZE)


def test_every_cut_and_every_change_of_a_character_is_found_or_harmless():
    """What is let through is decoded to the end; what is not, pycocotools cannot fill either."""
    mask = np.zeros((1, *SIZE), np.uint8)
    mask[0, 4:20, 3:30] = 1
    mask[0, 9:12, 8:13] = 0
    (text,) = texts_of(mask)
    let_through = 0
    variants = [text[:cut] for cut in range(len(text))] + [
        text[:position] + new + text[position + 1 :]
        for position in range(len(text))
        for new in ('0', 'O', 'P', 'o', 'p', '/', '?')
    ]
    for variant in variants:
        try:
            result = decode_runs([variant], SIZE)[0]
        except ValueError as error:
            assert 'mask 0' in str(error)
            continue
        let_through += 1
        again = coco.encode(np.asfortranarray(result))
        assert result.shape == SIZE and coco.area(again) == result.sum()
        assert np.array_equal(result, coco.decode(dict(size=SIZE, counts=variant.encode())))
    assert 0 < let_through < len(variants) / 4


def broken():
    """Counts that no decoder should trust, and what is said of them."""
    rest = SIZE[0] * SIZE[1] - 900
    return {
        'short': ([900], 'add up to 900 pixels'),
        'long': ([900, rest, 1], 'add up to 1021 pixels'),
        'huge': ([4_000_000_000], 'run of 4000000000 pixels'),
        'above 32 bits': ([2**40], 'neither a string nor a list of lengths'),
        'negative': ([910, -10, 120], 'neither a string nor a list of lengths'),
        'not whole': ([900.0, 120], 'neither a string nor a list of lengths'),
        'true': ([True, 1019], 'neither a string nor a list of lengths'),
        'nested': ([[900], [120]], 'neither a string nor a list of lengths'),
        'ends within a number': ('P' * 3, 'end within a number'),
        'no end at all': ('o' * 9, 'end within a number'),
        'a number without end': ('o' * 40 + '0', 'not compressed run lengths'),
        'letters': ('{zzz}', 'not compressed run lengths'),
        'not ascii': ('\u00e9' * 4, 'not compressed run lengths'),
        'null': ('\x00', 'not compressed run lengths'),
        'longer than any mask': ('0' * 10_000, 'not compressed run lengths'),
        'below zero': ('@', 'run of -16 pixels'),
    }


@pytest.mark.parametrize('name', broken())
def test_broken_counts_are_refused_wherever_masks_are_read(tmp_path, name):
    counts, message = broken()[name]
    with pytest.raises(ValueError, match=message):
        decode_runs([counts], SIZE)
    (whole,) = texts_of(np.ones((1, *SIZE), np.uint8))
    with pytest.raises(ValueError, match='mask 1|mask 0' if isinstance(counts, list) else 'mask 1'):
        check_runs([whole, counts, whole], SIZE)
    path = tmp_path / 'a.json'
    write(path, counts)
    with pytest.raises(ValueError, match=rf'a\.json.*{message}'):
        read_sidecar(path)
    with pytest.raises(ValueError, match=message):
        decode_masks(read_sidecar(path, check_masks=False))
    with pytest.raises(ValueError, match=rf'a\.json.*{message}'):
        LoadSegments(4).transform(
            dict(segments_path=str(path), img_path='p.png', ori_shape=SIZE, img_shape=SIZE)
        )


@pytest.mark.parametrize('size', [(100_000, 100_000), (2**40, 1), (0, 5), (5, -1)])
def test_a_size_that_nobody_has_allocates_nothing(size):
    with pytest.raises(ValueError):
        decode_runs(['0', [1]], size)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (dict(image_size=(20, 22)), 'larger than their image'),
        (dict(size=(15, 33), image_size=SIZE), 'another aspect'),
        (dict(size=(30.0, 34)), "'size'"),
        (dict(size=(True, 34)), "'size'"),
        (dict(score=float('nan')), 'segment 0'),
        (dict(score=float('inf')), 'segment 0'),
        (dict(score=True), 'segment 0'),
        (dict(score='1'), 'segment 0'),
        (dict(score=10**400), 'segment 0'),
        (dict(area=-1), 'segment 0'),
        (dict(area=None), 'segment 0'),
        (dict(counts={}), 'segment 0'),
        (dict(counts=7), 'segment 0'),
    ],
)
def test_fields_of_a_sidecar(tmp_path, fields, message):
    path = tmp_path / 'a.json'
    write(path, **{**dict(counts=[SIZE[0] * SIZE[1]]), **fields})
    with pytest.raises(ValueError, match=rf'segment file .*a\.json.*{message}'):
        read_sidecar(path)


@pytest.mark.parametrize('content', [b'\xff\xfe', b'[' * 100_000, b'1' * 5000, b'', b'null'])
def test_what_is_no_json_names_the_file(tmp_path, content):
    (tmp_path / 'a.json').write_bytes(content)
    with pytest.raises(ValueError, match=r'segment file .*a\.json'):
        read_sidecar(tmp_path / 'a.json')
