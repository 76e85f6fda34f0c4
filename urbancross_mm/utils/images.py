"""Reading images from disk: what the pixels of a file mean is decided here."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import UnidentifiedImageError
from PIL.ImageFile import ImageFile

from urbancross_mm.utils.image_formats import excess_depth, excess_depth_of_tiff, open_known_format
from urbancross_mm.utils.jpeg import START, decode_jpeg


def read_image(
    path: str, draft: int | None = None, content: bytes | None = None
) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode an image to RGB.

    Gray, palette, CMYK and YCbCr images are converted, an alpha channel is dropped, and an EXIF
    orientation is ignored: satellite tiles have none that means anything. With simplejpeg
    installed, a JPEG takes half the time and has the same bits.

    Args:
        path (str): The file, or what errors call it.
        draft (int | None): Let the JPEG decoder shrink the image by 2, 4 or 8 as long as no side
            falls below this many pixels: faster for images much larger than the training size,
            and not the same as a resize. Defaults to None.
        content (bytes | None): Of the file, where it was read already. Defaults to None.

    Shape:
        - output: ``(H, W, 3)``.

    Returns:
        tuple[np.ndarray, tuple[int, int]]: The uint8 image, and the height and width that it
        has on disk.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded to the end or has more than 8 bits per channel.
    """
    if content is None and os.path.isfile(path):
        content = _content(path)
    decoded = decode_jpeg(content, draft) if content is not None else None
    if decoded is not None:
        return decoded
    with open_image(path if content is None else io.BytesIO(content), path) as image:
        size = (image.height, image.width)
        if draft is not None:
            image.draft('RGB', (draft, draft))
        return np.array(image if image.mode == 'RGB' else image.convert('RGB')), size


def read_class_map(path: str) -> np.ndarray:
    """Decode a class map: one 8-bit number per pixel, of a palette the index.

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
    raise ValueError(f'class map {path} has {what}: it must hold one 8-bit number per pixel')


@contextmanager
def open_image(file: str | Path | BinaryIO, path: str) -> Iterator[ImageFile]:
    """Open an image of 8 bits per channel; whatever is wrong with it while it is open names it.

    Args:
        file (str | Path | BinaryIO): The file.
        path (str): What errors call it.

    Yields:
        ImageFile: Not yet decoded.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded, or has more than 8 bits per channel.
    """
    try:
        _refuse_special(file)
        with open_known_format(file) as image:
            deep = excess_depth(image)
            if not deep:
                yield image
    except FileNotFoundError:
        raise FileNotFoundError(f'image not found: {path}') from None
    except UnidentifiedImageError as error:
        # Its own message names an object in memory, at another address each time.
        deep = excess_depth_of_tiff(file)
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


def _content(path: str) -> bytes | None:
    """What a JPEG holds; None of another file, which Pillow opens itself, and reports."""
    try:
        with open(path, 'rb') as file:
            return file.read() if file.peek(3).startswith(START) else None
    except OSError:
        return None


def _not_as_written(image: ImageFile) -> str | None:
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
