"""Fingerprints: exact copies, similar images, and broken files."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.datasets.tiny import image
from urbancross_mm.datasets.verification.fingerprints import Fingerprint, fingerprint, near_pairs


def _save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return fingerprint(path)


def test_a_recompressed_or_resized_image_is_similar_but_no_copy(tmp_path):
    pixels = image(200, 240, seed=1)
    one = _save(tmp_path / 'a.jpg', pixels, quality=95)
    again = _save(tmp_path / 'b.jpg', pixels, quality=60)
    smaller = _save(tmp_path / 'c.png', np.array(Image.fromarray(pixels).resize((120, 100))))
    other = _save(tmp_path / 'd.jpg', image(200, 240, seed=2))

    assert one.size == (200, 240) and smaller.size == (100, 120)
    assert one.digest != again.digest
    assert list(near_pairs([one, other], [other, again, smaller], 2)) == [(0, 1), (0, 2), (1, 0)]


def test_copies_have_one_digest(tmp_path):
    pixels = image()
    assert _save(tmp_path / 'a.png', pixels).digest == _save(tmp_path / 'b.png', pixels).digest


def test_flat_images_look_like_nothing(tmp_path):
    flat = _save(tmp_path / 'flat.png', np.full((30, 30, 3), 90, dtype=np.uint8))
    assert flat.flat and not list(near_pairs([flat], [flat], 2))


@pytest.mark.parametrize('distance', [0, 2, 5])
def test_near_pairs_against_every_pair(distance):
    rng = np.random.default_rng(0)
    # Hashes of few bits, so that many are near each other.
    prints = [
        Fingerprint(
            (8, 8), bytes([n]), *(int(x) for x in rng.integers(0, 2**9, 2)), bool(n % 7 == 0)
        )
        for n in range(60)
    ]
    left, right = prints[:25], prints[25:]
    expected = [
        (i, j)
        for i, a in enumerate(left)
        for j, b in enumerate(right)
        if not a.flat
        and not b.flat
        and bin(a.across ^ b.across).count('1') <= distance
        and bin(a.down ^ b.down).count('1') <= distance
    ]
    assert list(near_pairs(left, right, distance)) == expected


def test_truncated_and_missing(tmp_path):
    _save(tmp_path / 'a.jpg', image(100, 100))
    data = (tmp_path / 'a.jpg').read_bytes()
    (tmp_path / 'cut.jpg').write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r'cut\.jpg'):
        fingerprint(tmp_path / 'cut.jpg')
    with pytest.raises(FileNotFoundError, match=r'gone\.jpg'):
        fingerprint(tmp_path / 'gone.jpg')
