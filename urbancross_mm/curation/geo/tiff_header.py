"""What a TIFF says of itself before its pixels."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from PIL import Image

# Tags that place a raster on the globe: pixel scale, transformation, key directory.
GEO_TAGS = frozenset((33550, 34264, 34735))
BIG = 43
TIFF_SUFFIXES = ('.tif', '.tiff')


def is_geotiff(path: Path) -> bool:
    """Whether a TIFF needs more than Pillow; its pixels are not read.

    Args:
        path (Path): The file.

    Returns:
        bool: True if it says where it lies, or is a BigTIFF that Pillow cannot open; False for a
        file that is no TIFF, a torn or an unreadable one.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return False
    try:
        with open(path, 'rb') as file:
            version, tags = read_tags(file)
    except OSError:
        return False
    return bool(tags & GEO_TAGS) or (version == BIG and not _pillow_opens(path))


def read_tags(file: BinaryIO) -> tuple[int | None, set[int]]:
    """Read the header and the numbers of the first directory.

    Args:
        file (BinaryIO): At its start.

    Returns:
        tuple[int | None, set[int]]: 42, 43 (BigTIFF) or None for what is no TIFF; and the tags,
        none if the directory is torn.
    """
    head = file.read(16)
    order = {b'II': '<', b'MM': '>'}.get(head[:2])
    if order is None or len(head) < 8:
        return None, set()
    version = struct.unpack_from(f'{order}H', head, 2)[0]
    if version not in (42, BIG):
        return None, set()
    try:
        return version, _tags_of_directory(file, head, order, version == BIG)
    except (struct.error, OSError, OverflowError):
        return version, set()


def _tags_of_directory(file: BinaryIO, head: bytes, order: str, big: bool) -> set[int]:
    """Entries hold tag, type, count and value: 12 bytes, 20 in a BigTIFF."""
    (place,) = struct.unpack_from(f'{order}{"Q" if big else "I"}', head, 8 if big else 4)
    file.seek(place)
    (count,) = struct.unpack(f'{order}{"Q" if big else "H"}', file.read(8 if big else 2))
    side = 20 if big else 12
    entries = file.read(side * min(count, 65535))
    if len(entries) < side * count:
        raise struct.error('torn directory')
    return {struct.unpack_from(f'{order}H', entries, side * number)[0] for number in range(count)}


def _pillow_opens(path: Path) -> bool:
    try:
        with Image.open(path, formats=('TIFF',)):
            return True
    except Exception:  # whatever damaged bytes lead to
        return False
