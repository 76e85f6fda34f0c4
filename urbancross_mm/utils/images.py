"""Reading images from disk: the one place that decides what a file's pixels mean."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from urbancross_mm.utils.png_pixels import only_pixels

# What is tried on a file, whatever its suffix says. Pillow knows more, but one of the others runs
# a program on what is in the file (EPS), and of some it cannot be told how deep their pixels are.
FORMATS = ('AVIF', 'BMP', 'DIB', 'GIF', 'JPEG', 'JPEG2000', 'PNG', 'PPM', 'TGA', 'TIFF', 'WEBP')
DEEP_MODES = ('I', 'F')
BITS_PER_SAMPLE, SAMPLE_FORMAT, UNSIGNED = 258, 339, 1
# Start and size segment of a JPEG 2000 stream; the depth of its first channel stands 42 on.
CODESTREAM, DEPTH_AT = b'\xff\x4f\xff\x51', 42
HEAD = 1 << 16


def read_image(path: str, draft: int | None = None) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode an image to RGB.

    Gray, palette, CMYK and YCbCr images are converted, an alpha channel is dropped, and an EXIF
    orientation is ignored: satellite tiles have none that means anything.

    Args:
        path (str): The file.
        draft (int | None): Let the JPEG decoder shrink the image by 2, 4 or 8 as long as no side
            falls below this many pixels: faster for images much larger than the training size.
            Defaults to None.

    Shape:
        - output: ``(H, W, 3)``.

    Returns:
        tuple[np.ndarray, tuple[int, int]]: The uint8 image, and the height and width that it
        has on disk.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded to the end or has more than 8 bits a channel.
    """
    with open_image(path, path) as image:
        size = (image.height, image.width)
        if draft is not None:
            image.draft('RGB', (draft, draft))
        return np.array(image if image.mode == 'RGB' else image.convert('RGB')), size


def read_class_map(path: str) -> np.ndarray:
    """Decode a class map: one number of 8 bits a pixel, of a palette the index.

    Args:
        path (str): The file.

    Shape:
        - output: ``(H, W)``.

    Returns:
        np.ndarray: uint8 class map.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded to the end, has colors or more than 8 bits, or its
            decoder gives other numbers than were written.
    """
    with open_image(path, path) as image:
        what = _not_as_written(image)
        if not what:
            return np.array(image).astype(np.uint8)
    raise ValueError(f'class map {path} has {what}: it must hold one number of 8 bits a pixel')


@contextmanager
def open_image(file: str | Path | BinaryIO, path: str) -> Iterator[Image.Image]:
    """Open an image of 8 bits a channel; whatever is wrong with it while it is open names it.

    Args:
        file (str | Path | BinaryIO): The file.
        path (str): What errors call it.

    Yields:
        Image.Image: Not yet decoded.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded, or has more than 8 bits a channel.
    """
    try:
        _refuse_special(file)
        with _opened(file) as image:
            deep = _deeper_than_bytes(image)
            if not deep:
                yield image
    except FileNotFoundError:
        raise FileNotFoundError(f'image not found: {path}') from None
    except UnidentifiedImageError as error:
        # Its own message names an object in memory, at another address each time.
        deep = _deep_tiff(file)
        if not deep:
            raise ValueError(
                f'image {path} cannot be decoded: cannot identify image file'
            ) from error
    except MemoryError:
        raise MemoryError(f'image {path} needs more memory than there is') from None
    except Exception as error:  # decoders raise whatever damaged bytes lead to
        what = ' '.join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f'image {path} cannot be decoded: {what}') from error
    if deep:
        raise ValueError(
            f'image {path} has {deep}: rescale it to 8 bits first, the right range '
            'depends on the sensor'
        )


def _not_as_written(image: Image.Image) -> str | None:
    """What is wrong with a class map. As layouts such as L;4 and L;I, gray fills 0 to 255."""
    if image.mode not in ('1', 'L', 'P'):
        return f'channels {image.mode}'
    if image.format == 'JPEG':
        return 'numbers that JPEG has changed'
    layouts = ' '.join(str(tile[3]) for tile in image.tile)
    return 'numbers that are stretched or inverted' if 'L;' in layouts else None


def probe_image(path: str) -> str | None:
    """Find out whether an image can be decoded, as cheaply as its format allows.

    Args:
        path (str): The file.

    Returns:
        str | None: What is wrong with it, or None.
    """
    try:
        # All the data is read; a JPEG is decoded at an eighth of its size.
        read_image(path, draft=1)
    except (FileNotFoundError, ValueError) as error:
        return str(error)
    return None


def _refuse_special(file: str | Path | BinaryIO) -> None:
    """A pipe would be waited for, and a device has no end."""
    if isinstance(file, str | Path) and os.path.exists(file) and not os.path.isfile(file):
        raise ValueError('it is no regular file')


def _opened(file: str | Path | BinaryIO) -> Image.Image:
    try:
        return Image.open(file, formats=_formats())
    except ValueError:
        # Pillow refuses a PNG for the size of a note, also where its pixels are whole.
        pixels = only_pixels(file)
        if pixels is None:
            raise
        return Image.open(pixels, formats=_formats())


@cache
def _formats() -> tuple[str, ...]:
    """Those of them that this Pillow was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _deeper_than_bytes(image: Image.Image) -> str | None:
    """What its channels hold besides 0 to 255, by what the file says.

    Pillow has no mode for colors of more than 8 bits: it keeps the upper half of each value, or,
    of a TIFF with a plane a channel, takes it for two pixels.
    """
    if image.mode.split(';')[0] in DEEP_MODES:
        return f'more than 8 bits a channel (mode {image.mode})'
    if image.format == 'TIFF':
        return _deep_tags(image.tag_v2)
    bits = BITS.get(image.format, lambda _: 8)(image)
    return f'more than 8 bits a channel ({bits} bits)' if bits > 8 else None


def _bits_of_png(image: Image.Image) -> int:
    """By the layout that the decoder is told, such as RGB;16B."""
    return 16 if any(';16' in tile[3] for tile in image.tile) else 8


def _bits_of_ppm(image: Image.Image) -> int:
    """By the number that stands for white, if it is not that of a byte."""
    return max(
        (
            int(tile[3][1]).bit_length()
            for tile in image.tile
            if isinstance(tile[3], tuple) and tile[0] != 'raw'
        ),
        default=8,
    )


def _bits_of_codestream(image: Image.Image) -> int:
    place = image.fp.tell()
    image.fp.seek(0)
    head = image.fp.read(HEAD)
    image.fp.seek(place)
    depth = head.find(CODESTREAM) + DEPTH_AT
    return (head[depth] & 0x7F) + 1 if DEPTH_AT <= depth < len(head) else 8


BITS = dict(PNG=_bits_of_png, PPM=_bits_of_ppm, JPEG2000=_bits_of_codestream)


def _deep_tags(tags: ImageFileDirectory_v2) -> str | None:
    bits = max(_numbers(tags.get(BITS_PER_SAMPLE, 1)), default=1)
    if bits > 8:
        return f'more than 8 bits a channel ({bits} bits)'
    if any(kind != UNSIGNED for kind in _numbers(tags.get(SAMPLE_FORMAT, UNSIGNED))):
        return 'values that are not 0 to 255 (signed, floating or complex ones)'
    return None


def _numbers(value: object) -> tuple[int, ...]:
    values = value if isinstance(value, tuple) else (value,)
    return tuple(one for one in values if isinstance(one, int))


def _deep_tiff(file: str | Path | BinaryIO) -> str | None:
    """Of a TIFF that Pillow has no mode for: most often because of its depth."""
    try:
        if isinstance(file, str | Path):
            with open(file, 'rb') as opened:
                return _deep_tiff(opened)
        file.seek(0)
        directory = ImageFileDirectory_v2(file.read(8))
        file.seek(directory.next)
        directory.load(file)
        return _deep_tags(directory)
    except Exception:  # no TIFF, or a torn one
        return None
