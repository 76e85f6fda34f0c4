"""Images of every kind: right pixels, or one sentence that names the file."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import cv2
import numpy as np
import pytest
from PIL import Image

from urbancross_mm.datasets.verification.fingerprints import fingerprint
from urbancross_mm.utils.images import probe_image, read_class_map, read_image

DEEP = 'has more than 8 bits per channel .*rescale it'


def pixels(channels: int = 3, height: int = 18, width: int = 26) -> np.ndarray:
    """Values from 0 to 255 in every channel."""
    rng = np.random.default_rng(channels)
    result = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    result[0, :2] = [[0] * channels, [255] * channels]
    return result


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack('>I', len(content))
        + kind
        + content
        + struct.pack('>I', zlib.crc32(kind + content))
    )


def png(values: np.ndarray, bits: int, color: int, extra: bytes = b'') -> bytes:
    """A PNG of packed rows, written by hand."""
    height, width = values.shape[:2]
    rows = values.reshape(height, -1)
    if bits == 16:
        data = [row.astype('>u2').tobytes() for row in rows]
    else:
        data = [
            np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits :]).tobytes()
            for row in rows
        ]
    head = struct.pack('>IIBBBBB', width, height, bits, color, 0, 0, 0)
    return (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', head)
        + extra
        + chunk(b'IDAT', zlib.compress(b''.join(b'\0' + row for row in data)))
        + chunk(b'IEND', b'')
    )


def tiff(
    values: np.ndarray,
    bits: int = 8,
    photometric: int = 2,
    planar: bool = False,
    kind: int = 1,
    extra: int = 0,
    order: str = '<',
) -> bytes:
    """An uncompressed TIFF with one strip a plane, written by hand."""
    height, width, channels = values.shape
    planes = np.moveaxis(values, 2, 0) if planar else values[None]
    strips = [plane.astype(plane.dtype.newbyteorder(order)).tobytes() for plane in planes]
    tags = [
        (256, width),
        (257, height),
        (258, (bits,) * channels),
        (259, 1),
        (262, photometric),
        (273, 'positions'),
        (277, channels),
        (278, height),
        (279, [len(item) for item in strips]),
        (284, 2 if planar else 1),
    ]
    tags += [(338, (0,) * extra)] if extra else []
    tags.append((339, (kind,) * channels))
    behind = 8 + 2 + 12 * len(tags) + 4
    tail = 0
    entries, arrays = b'', b''
    size_of_arrays = sum(
        4 * len(value) for _, value in tags if isinstance(value, list | tuple) and len(value) > 1
    ) + (4 * len(strips) if len(strips) > 1 else 0)
    start = behind + size_of_arrays
    positions = []
    for item in strips:
        positions.append(start + tail)
        tail += len(item)
    for tag, value in tags:
        value = positions if value == 'positions' else value
        value = list(value) if isinstance(value, list | tuple) else [value]
        content = struct.pack(f'{order}{len(value)}I', *value)
        if len(value) > 1:
            position, arrays = behind + len(arrays), arrays + content
            content = struct.pack(f'{order}I', position)
        entries += struct.pack(f'{order}HHI', tag, 4, len(value)) + content
    head = (b'II' if order == '<' else b'MM') + struct.pack(f'{order}HI', 42, 8)
    return (
        head + struct.pack(f'{order}H', len(tags)) + entries + bytes(4) + arrays + b''.join(strips)
    )


def refused(path: Path, content: bytes, sentence: str) -> None:
    """By the reader, by the probe and by verification, each with the name of the file."""
    path.write_bytes(content)
    for read, file in ((read_image, str(path)), (read_image, path), (fingerprint, path)):
        with pytest.raises(ValueError, match=f'{path.name} {sentence}'):
            read(file)
    assert sentence.split()[0] in (probe_image(str(path)) or '')


@pytest.mark.parametrize('color, channels', [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_deep_png(tmp_path: Path, color: int, channels: int) -> None:
    deep = pixels(channels).astype(np.uint16) << 4
    refused(tmp_path / 'a.png', png(deep, 16, color), DEEP)
    (tmp_path / 'a.png').write_bytes(png(pixels(channels), 8, color))
    want = pixels(channels)[..., : 1 if channels < 3 else 3]
    assert np.array_equal(
        read_image(str(tmp_path / 'a.png'))[0], np.broadcast_to(want, (*want.shape[:2], 3))
    )


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('planar', [False, True])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_tiff(tmp_path: Path, channels: int, planar: bool, order: str) -> None:
    values, photometric = pixels(channels), 2 if channels > 1 else 1
    path = tmp_path / 'a.tif'
    options = dict(photometric=photometric, planar=planar, order=order)
    for kind, bits, deep in [
        (1, 16, np.uint16),
        (2, 16, np.int16),
        (1, 32, np.uint32),
        (3, 32, np.float32),
        (3, 64, np.float64),
    ]:
        refused(path, tiff(values.astype(deep) * 16, bits, kind=kind, **options), DEEP)
    refused(path, tiff(values.view(np.int8), kind=2, **options), 'has values that are not 0 to 255')
    path.write_bytes(tiff(values, **options))
    if channels == 4 and planar:
        return  # four planes of unnamed kind: Pillow has no mode for them, and says so
    got = read_image(str(path))[0]
    assert np.array_equal(got, np.broadcast_to(values[..., :3], (*values.shape[:2], 3)))
    assert np.array_equal(got, cv2.imread(str(path))[..., ::-1])


def test_further_bands_are_no_colors(tmp_path: Path) -> None:
    path = tmp_path / 'a.tif'
    path.write_bytes(tiff(pixels(5), extra=2))
    assert np.array_equal(read_image(str(path))[0], pixels(5)[..., :3])


def test_white_is_zero(tmp_path: Path) -> None:
    path = tmp_path / 'a.tif'
    path.write_bytes(tiff(pixels(1), photometric=0))
    assert np.array_equal(read_image(str(path))[0][..., 1], 255 - pixels(1)[..., 0])


@pytest.mark.parametrize('bits', [1, 2, 4])
def test_few_bits_use_the_whole_range(tmp_path: Path, bits: int) -> None:
    values = pixels(1) >> (8 - bits)
    (tmp_path / 'a.png').write_bytes(png(values, bits, 0))
    want = values[..., 0].astype(int) * 255 // (2**bits - 1)
    assert np.array_equal(read_image(str(tmp_path / 'a.png'))[0][..., 2], want)


@pytest.mark.parametrize('bits', [2, 8])
@pytest.mark.parametrize('clear', [False, True])
def test_palettes(tmp_path: Path, bits: int, clear: bool) -> None:
    values, table = pixels(1) >> (8 - bits), pixels(3, 1, 2**bits)[0]
    extra = chunk(b'PLTE', table.tobytes()) + (chunk(b'tRNS', bytes(2**bits)) if clear else b'')
    (tmp_path / 'a.png').write_bytes(png(values, bits, 3, extra))
    assert np.array_equal(read_image(str(tmp_path / 'a.png'))[0], table[values[..., 0]])
    assert np.array_equal(read_class_map(str(tmp_path / 'a.png')), values[..., 0])


def test_a_bitmap_of_five_bits_a_channel_is_not_deep(tmp_path: Path) -> None:
    values = np.arange(64, dtype='<u2').reshape(8, 8) * 1023
    head = struct.pack('<IiiHHIIiiII', 40, 8, -8, 1, 16, 3, 128, 0, 0, 0, 0) + struct.pack(
        '<III', 0xF800, 0x7E0, 0x1F
    )
    content = b'BM' + struct.pack('<IHHI', 54 + 12 + 128, 0, 0, 66) + head + values.tobytes()
    (tmp_path / 'a.bmp').write_bytes(content)
    got = read_image(str(tmp_path / 'a.bmp'))[0]
    assert np.array_equal(got[..., 0], (values >> 11) * 255 // 31)


@pytest.mark.parametrize(
    ('name', 'mode'),
    [
        ('a.jpg', 'L'),
        ('a.jpg', 'RGB'),
        ('a.jpg', 'CMYK'),
        ('a.png', 'LA'),
        ('a.png', 'P'),
        ('a.gif', 'P'),
        ('a.webp', 'RGB'),
        ('a.webp', 'RGBA'),
        ('a.bmp', 'RGB'),
        ('a.tif', 'CMYK'),
        ('a.tif', 'P'),
        ('a.ppm', 'RGB'),
        ('a.jp2', 'RGB'),
        ('a.tga', 'RGB'),
        ('a.tif', 'LAB'),
    ],
)
def test_what_pillow_reads_right_is_left_to_it(tmp_path: Path, name: str, mode: str) -> None:
    """Bit by bit what it was before there was a second look at the file."""
    image = (
        Image.fromarray(pixels(3, 40, 56))
        if mode == 'RGB'
        else Image.frombytes('LAB', (56, 40), pixels(3, 40, 56).tobytes())
        if mode == 'LAB'
        else Image.fromarray(pixels(3, 40, 56)).convert(mode)
    )
    image.save(tmp_path / name)
    with Image.open(tmp_path / name) as file:
        want = np.array(file.convert('RGB'))
    got, size = read_image(str(tmp_path / name))
    assert size == (40, 56) and np.array_equal(got, want)
    assert fingerprint(tmp_path / name).size == (40, 56)


def test_deep_files_of_other_formats(tmp_path: Path) -> None:
    deep = pixels(3, 40, 56).astype(np.uint16)
    refused(tmp_path / 'a.ppm', b'P6 56 40 4095\n' + deep.astype('>u2').tobytes(), DEEP)
    buffer = io.BytesIO()
    Image.fromarray(pixels(3, 40, 56)).save(buffer, 'jpeg2000')
    content = bytearray(buffer.getvalue())
    position = content.index(b'\xff\x4f\xff\x51') + 42
    assert content[position] == 7
    content[position] = 11
    refused(tmp_path / 'a.jp2', bytes(content), DEEP)


def test_nothing_is_run_for_a_file_with_a_false_suffix(tmp_path: Path) -> None:
    """Pillow hands PostScript to a program."""
    Image.fromarray(pixels()).save(tmp_path / 'a.eps')
    refused(tmp_path / 'a.jpg', (tmp_path / 'a.eps').read_bytes(), 'cannot be decoded')


@pytest.mark.parametrize('kind', [b'zTXt', b'iTXt', b'iCCP'])
def test_a_large_note_in_a_png_hides_no_pixels(tmp_path: Path, kind: bytes) -> None:
    begin = b'x\0\1\0\0\0' if kind == b'iTXt' else b'x\0\0'
    note = chunk(kind, begin + zlib.compress(bytes(80_000_000)))
    path = tmp_path / 'a.png'
    path.write_bytes(png(pixels(), 8, 2, note))
    assert np.array_equal(read_image(str(path))[0], pixels())
    assert np.array_equal(read_image(path)[0], pixels())
    assert fingerprint(path).size == (18, 26) and probe_image(str(path)) is None
    table = pixels(3, 1, 256)[0]
    extra = chunk(b'PLTE', table.tobytes()) + chunk(b'tRNS', bytes(9))
    path.write_bytes(png(pixels(1), 8, 3, note + extra))
    assert np.array_equal(read_image(str(path))[0], table[pixels(1)[..., 0]])
    refused(path, png(pixels().astype(np.uint16), 16, 2, note), DEEP)
    refused(path, png(pixels(), 8, 2, note)[:-60], 'cannot be decoded')


def test_a_size_that_no_file_fills_allocates_nothing_and_is_refused(tmp_path: Path) -> None:
    head = struct.pack('>IIBBBBB', 60_000, 60_000, 8, 2, 0, 0, 0)
    content = b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(b'0'))
    refused(tmp_path / 'a.png', content, 'cannot be decoded')
    wide = tiff(pixels()).replace(struct.pack('<I', 26), struct.pack('<I', 2**31), 1)
    refused(tmp_path / 'a.tif', wide, 'cannot be decoded')


@pytest.mark.parametrize('seed', range(4))
def test_damaged_files_are_read_or_named(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image, path = Image.fromarray(pixels(3, 24, 24)), tmp_path / 'a.img'
    contents = [png(pixels(), 8, 2), tiff(pixels()), tiff(pixels(1), photometric=1)]
    for kind, options in [
        ('jpeg', {}),
        ('gif', {}),
        ('webp', {}),
        ('bmp', {}),
        ('tiff', dict(compression='tiff_lzw')),
        ('jpeg2000', {}),
    ]:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        contents.append(buffer.getvalue())
    for content in contents:
        for _ in range(25):
            changed = bytearray(content)
            for position in rng.integers(0, min(len(changed), 200), 3):
                changed[position] = rng.integers(256)
            path.write_bytes(changed[: rng.integers(8, len(changed) + 1)])
            problem = probe_image(str(path))
            assert problem is None or (str(path) in problem and '\n' not in problem)
            try:
                fingerprint(path)
            except ValueError as error:
                assert str(path) in str(error)  # noqa: PT017


def test_class_maps_hold_one_number_per_pixel(tmp_path: Path) -> None:
    path = tmp_path / 'a.png'
    path.write_bytes(png(pixels(1), 8, 0))
    assert np.array_equal(read_class_map(str(path)), pixels(1)[..., 0])
    path.write_bytes(png(pixels(3), 8, 2))
    with pytest.raises(ValueError, match=r'a\.png .*RGB'):
        read_class_map(str(path))
    path.write_bytes(png(pixels(1).astype(np.uint16), 16, 0))
    with pytest.raises(ValueError, match=DEEP):
        read_class_map(str(path))
    path.write_bytes(png(pixels(1), 8, 0)[:-40])
    with pytest.raises(ValueError, match=r'a\.png'):
        read_class_map(str(path))


@pytest.mark.parametrize('reader', [read_image, read_class_map, probe_image])
def test_a_pipe_is_not_waited_for(tmp_path: Path, reader: Callable[[str], object]) -> None:
    path = str(tmp_path / 'a.png')
    os.mkfifo(path)
    # A reader that opens it finds an empty file, and does not wait for ever.
    other_end = Thread(target=lambda: open(path, 'wb').close(), daemon=True)
    other_end.start()
    with pytest.raises(ValueError, match=r'a\.png .*regular file'):
        raise ValueError(reader(path))
    end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    other_end.join()
    os.close(end)


def test_a_class_map_with_other_numbers_than_were_written_is_refused(tmp_path: Path) -> None:
    numbers = np.arange(12, dtype=np.uint8).reshape(3, 4) % 7
    path = tmp_path / 'a.png'
    Image.fromarray(numbers).save(path)
    assert np.array_equal(read_class_map(str(path)), numbers)
    palette = Image.fromarray(numbers).convert('P')
    palette.save(path, bits=4)  # indices are not stretched
    assert np.array_equal(read_class_map(str(path)), numbers)
    for name, tags in (('white.tif', {262: 0}), ('four.tif', {258: 4})):
        (tmp_path / name).write_bytes(_tiff(numbers, tags))
        with pytest.raises(ValueError, match=rf'{name} .*(stretched|inverted)'):
            read_class_map(str(tmp_path / name))
    Image.fromarray(numbers).save(tmp_path / 'a.jpg')
    with pytest.raises(ValueError, match=r'a\.jpg .*JPEG'):
        read_class_map(str(tmp_path / 'a.jpg'))


def _tiff(numbers: np.ndarray, tags: dict[int, int]) -> bytes:
    """Gray, one strip, tags of one short each but for the sizes."""
    height, width = numbers.shape
    entries = {
        256: width,
        257: height,
        258: 8,
        259: 1,
        262: 1,
        273: 200,
        277: 1,
        278: height,
        279: numbers.size,
        **tags,
    }
    head = (
        b'II*\0'
        + struct.pack('<IH', 8, len(entries))
        + b''.join(
            struct.pack('<HHIHH', tag, 3, 1, value, 0) for tag, value in sorted(entries.items())
        )
    )
    return (head + b'\0' * 4).ljust(200, b'\0') + numbers.tobytes()
