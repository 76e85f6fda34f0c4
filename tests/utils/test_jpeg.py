"""The fast decoder gives Pillow's bits, and leaves to Pillow what it might do otherwise."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.datasets.tiny import image
from urbancross_mm.utils import images, jpeg
from urbancross_mm.utils.images import read_image
from urbancross_mm.utils.jpeg import decode_jpeg, reduction

pytest.importorskip('simplejpeg')
KINDS = [
    dict(subsampling=0),
    dict(subsampling=1),
    dict(subsampling=2),
    dict(subsampling=2, progressive=True),
    dict(keep_rgb=True),
    dict(restart_marker_blocks=3),
    dict(optimize=True, quality=30),
]


def jpeg_of(pixels: np.ndarray, mode: str = 'RGB', **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, 'JPEG', **options)
    return buffer.getvalue()


def by_pillow(content: bytes, draft: int | None) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as opened:
        if draft is not None:
            opened.draft('RGB', (draft, draft))
        return np.array(opened.convert('RGB'))


@pytest.mark.parametrize('draft', [None, 1, 30, 64, 97, 120, 1000])
@pytest.mark.parametrize('kind', [*KINDS, dict(mode='L')], ids=str)
def test_the_bits_are_those_of_pillow(kind: dict, draft: int | None) -> None:
    noise = np.random.default_rng(0).integers(0, 60, (243, 301, 3), dtype=np.uint8)
    content = jpeg_of(image(243, 301) // 2 + noise, **kind)
    pixels, size = decode_jpeg(content, draft)
    assert size == (243, 301)
    assert pixels.flags.writeable and pixels.dtype == np.uint8
    assert np.array_equal(pixels, by_pillow(content, draft))


def test_no_side_falls_below_the_draft() -> None:
    for side in range(1, 400, 7):
        for draft in (1, 50, 64, 100):
            by = reduction((side, side + 3), draft)
            assert by == 1 or -(-side // by) >= draft
    assert [reduction((512, 600), draft) for draft in (None, 600, 256, 128, 64)] == [1, 1, 2, 4, 8]


def test_what_is_left_to_pillow() -> None:
    content = jpeg_of(image(64, 80))
    assert decode_jpeg(content[: len(content) // 2]) is None
    assert decode_jpeg(content[:-2]) is None
    assert decode_jpeg(jpeg_of(image(64, 80), 'CMYK')) is None
    assert decode_jpeg(b'') is None and decode_jpeg(b'\xff\xd8\xff\xe0') is None
    buffer = io.BytesIO()
    Image.fromarray(image()).save(buffer, 'PNG')
    assert decode_jpeg(buffer.getvalue()) is None


def test_a_huge_image_meets_the_limit_of_pillow(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / 'a.jpg').write_bytes(jpeg_of(image(64, 80)))
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 2000)
    with pytest.raises(ValueError, match=r'a\.jpg .*exceeds limit'):
        read_image(str(tmp_path / 'a.jpg'))


@pytest.mark.parametrize('draft', [None, 30])
def test_nothing_changes_without_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path, draft: int | None
) -> None:
    (tmp_path / 'a.jpg').write_bytes(jpeg_of(image(140, 150)))
    fast, size = read_image(str(tmp_path / 'a.jpg'), draft)
    monkeypatch.setattr(jpeg, '_decoder', lambda: None)
    slow = read_image(str(tmp_path / 'a.jpg'), draft)
    assert np.array_equal(fast, slow[0]) and size == slow[1] == (140, 150)


def test_an_image_in_memory_is_not_looked_for_on_disk() -> None:
    content = jpeg_of(image(64, 80))
    pixels, size = read_image('shard.tar/7.jpg', content=content)
    assert np.array_equal(pixels, by_pillow(content, None)) and size == (64, 80)
    buffer = io.BytesIO()
    Image.fromarray(image()).save(buffer, 'PNG')
    assert np.array_equal(read_image('7.png', content=buffer.getvalue())[0], image())
    with pytest.raises(ValueError, match=r'shard\.tar/7\.jpg cannot be decoded'):
        read_image('shard.tar/7.jpg', content=content[:100])
    assert images.probe_image('none.jpg') == 'image not found: none.jpg'


def test_flipped_bytes_give_what_pillow_gives() -> None:
    """A warning of the decoder is Pillow's to judge, whatever it makes of it."""
    content = jpeg_of(image(64, 80))
    rng = np.random.default_rng(0)
    decoded = 0
    for _ in range(200):
        damaged = bytearray(content)
        damaged[int(rng.integers(2, len(damaged)))] = int(rng.integers(256))
        result = decode_jpeg(bytes(damaged))
        if result is not None:
            decoded += 1
            assert np.array_equal(result[0], by_pillow(bytes(damaged), None))
    assert decoded > 20
