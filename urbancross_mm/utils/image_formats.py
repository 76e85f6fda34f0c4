"""Which image formats are read, and how deep the pixels of a file are."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

# What is tried on a file, whatever its suffix says. Pillow knows more, but one of the others runs
# a program on what is in the file (EPS), and of some it cannot be told how deep their pixels are.
FORMATS = ('AVIF', 'BMP', 'DIB', 'GIF', 'JPEG', 'JPEG2000', 'PNG', 'PPM', 'TGA', 'TIFF', 'WEBP')
DEEP_MODES = ('I', 'F')
BITS_PER_SAMPLE, SAMPLE_FORMAT, UNSIGNED = 258, 339, 1
# Start and size segment of a JPEG 2000 stream; the depth of its first channel comes 42 bytes later.
CODESTREAM, DEPTH_AT = b'\xff\x4f\xff\x51', 42
HEAD = 1 << 16
PNG = b'\x89PNG\r\n\x1a\n'


def open_known_format(file: str | Path | BinaryIO) -> ImageFile:
    """Open an image of one of :data:`FORMATS` without decoding it.

    Args:
        file (str | Path | BinaryIO): The file.

    Returns:
        ImageFile: The open image.
    """
    try:
        return Image.open(file, formats=_formats())
    except ValueError:
        # Pillow refuses a PNG for the size of a note, also where its pixels are whole.
        pixels = _only_pixels(file)
        if pixels is None:
            raise
        return Image.open(pixels, formats=_formats())


@cache
def _formats() -> tuple[str, ...]:
    """Those of them that this Pillow was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def excess_depth(image: ImageFile) -> str | None:
    """What the channels hold besides 0 to 255, by what the file says.

    Pillow has no mode for colors of more than 8 bits: it keeps the upper half of each value, or,
    of a TIFF with one plane per channel, takes it for two pixels.

    Args:
        image (ImageFile): Not yet decoded.

    Returns:
        str | None: A phrase for messages; None for 8 bits or less.
    """
    if image.mode.split(';')[0] in DEEP_MODES:
        return f'more than 8 bits per channel (mode {image.mode})'
    if isinstance(image, TiffImageFile):
        return _excess_of_tags(image.tag_v2)
    bits = BITS[image.format](image) if image.format in BITS else 8
    return f'more than 8 bits per channel ({bits} bits)' if bits > 8 else None


def _bits_of_png(image: ImageFile) -> int:
    """By the layout that the decoder is given, such as RGB;16B."""
    return 16 if any(';16' in str(tile[3]) for tile in image.tile) else 8


def _bits_of_ppm(image: ImageFile) -> int:
    """By the number that stands for white, if it is not that of a byte."""
    return max(
        (
            int(tile[3][1]).bit_length()
            for tile in image.tile
            if isinstance(tile[3], tuple) and tile[0] != 'raw'
        ),
        default=8,
    )


def _bits_of_codestream(image: ImageFile) -> int:
    """By the depth of the first channel, which the head of the stream names."""
    file = image.fp
    if file is None:
        return 8
    position = file.tell()
    file.seek(0)
    head = file.read(HEAD)
    file.seek(position)
    depth = head.find(CODESTREAM) + DEPTH_AT
    return (head[depth] & 0x7F) + 1 if DEPTH_AT <= depth < len(head) else 8


BITS: dict[str | None, Callable[[ImageFile], int]] = dict(
    PNG=_bits_of_png, PPM=_bits_of_ppm, JPEG2000=_bits_of_codestream
)


def _excess_of_tags(tags: ImageFileDirectory_v2) -> str | None:
    bits = max(_numbers(tags.get(BITS_PER_SAMPLE, 1)), default=1)
    if bits > 8:
        return f'more than 8 bits per channel ({bits} bits)'
    if any(kind != UNSIGNED for kind in _numbers(tags.get(SAMPLE_FORMAT, UNSIGNED))):
        return 'values that are not 0 to 255 (signed, floating or complex ones)'
    return None


def _numbers(value: object) -> tuple[int, ...]:
    values = value if isinstance(value, tuple) else (value,)
    return tuple(number for number in values if isinstance(number, int))


def excess_depth_of_tiff(file: str | Path | BinaryIO) -> str | None:
    """As :func:`excess_depth`, of a TIFF that Pillow has no mode for.

    Args:
        file (str | Path | BinaryIO): The file.

    Returns:
        str | None: A phrase for messages; None for another format or a torn file.
    """
    try:
        if isinstance(file, str | Path):
            with open(file, 'rb') as opened:
                return excess_depth_of_tiff(opened)
        file.seek(0)
        directory = ImageFileDirectory_v2(file.read(8))
        file.seek(directory.next)
        directory.load(file)
        return _excess_of_tags(directory)
    except Exception:  # no TIFF, or a torn one
        return None


def _only_pixels(file: str | Path | BinaryIO) -> BinaryIO | None:
    """A PNG without its text chunks; None if it is not a PNG."""
    if isinstance(file, str | Path):
        with open(file, 'rb') as opened:
            return _only_pixels(opened)
    file.seek(0)
    content = file.read()
    if not content.startswith(PNG):
        return None
    parts, start = [PNG], len(PNG)
    while start < len(content):
        # Length, kind, that many bytes and a checksum; a kind in capitals is needed.
        end = start + 12 + int.from_bytes(content[start : start + 4], 'big')
        kind = content[start + 4 : start + 8]
        if kind[:1].isupper() or kind == b'tRNS':
            parts.append(content[start:end])
        start = end
    return io.BytesIO(b''.join(parts))
