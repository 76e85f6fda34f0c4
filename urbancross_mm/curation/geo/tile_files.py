"""Files of images: reading, naming by content, linking."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from pathlib import Path

import numpy as np

from urbancross_mm.utils.images import read_image

# What a decoder makes of a torn file, not what a disk makes of a whole one.
_CONTENT = (errno.EINVAL, errno.EOVERFLOW)


def decode(path: Path) -> np.ndarray:
    """Decode an image to its last pixel.

    Args:
        path (Path): The file.

    Shape:
        - output: ``(H, W, 3)``.

    Returns:
        np.ndarray: uint8 RGB.

    Raises:
        MemoryError, OSError: If the file cannot be read: it may another time.
        ValueError: If what is in it is no image; the sentence does not name the file.
    """
    try:
        return read_image(str(path))[0]
    except FileNotFoundError:
        raise
    except ValueError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno is not None and cause.errno not in _CONTENT:
            raise cause from None
        raise ValueError(without_file(str(error), path)) from error


def is_blank(pixels: np.ndarray) -> bool:
    """Whether an image has one color only, as the border of a raster that names no nodata.

    Args:
        pixels (np.ndarray): The image.

    Shape:
        - pixels: ``(H, W, 3)``.

    Returns:
        bool: True if so.
    """
    return bool((pixels == pixels[0, 0]).all())


def without_file(sentence: str, path: Path) -> str:
    """The same trouble of two files shall be the same sentence.

    Args:
        sentence (str): What is wrong.
        path (Path): The file that it may name.

    Returns:
        str: Without it, and without numbers in brackets, such as of bytes.
    """
    for part in (f'image {path} ', f' {str(path)!r}', f' {path}'):
        sentence = sentence.replace(part, '')
    return re.sub(r' \(\d+[^()]*\)', '', sentence)


def link_file(path: Path, target: Path) -> None:
    """Put a file where it shall be; a hard link costs no space, a copy where there can be none.

    Args:
        path (Path): The file; never changed.
        target (Path): Its new name, replaced once the new file is ready. If it is the same file
            already, it stays.

    Raises:
        OSError: If the disk is full.
    """
    if target.exists() and os.path.samefile(path, target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f'.{target.name}.{os.getpid()}.tmp')
    temporary.unlink(missing_ok=True)  # of a killed run
    try:
        try:
            os.link(path.resolve(), temporary)
        except OSError:
            shutil.copyfile(path, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def content_hash(content: bytes) -> str:
    """Hash of an image's file.

    Args:
        content (bytes): All of it.

    Returns:
        str: 32 hexadecimal digits.
    """
    return hashlib.blake2b(content, digest_size=16).hexdigest()
