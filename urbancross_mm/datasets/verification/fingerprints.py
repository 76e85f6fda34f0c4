"""Finding identical and similar images."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from urbancross_mm.utils.images import open_image

# Rows of a block of distances: 1,024 against 100,000 images are 100 MB.
BLOCK = 1024
# A thumbnail with less spread of gray than this (of 255) has no gradient worth comparing.
FLAT = 2.0
# Sides of the thumbnails: 8 differences across, 8 down.
SIDE = 9


@dataclass(frozen=True)
class Fingerprint:
    """What one decode tells about an image.

    Attributes:
        size (tuple[int, int]): Height and width in pixels.
        digest (bytes): Hash of the file.
        across (int): 64-bit difference hash along the rows.
        down (int): 64-bit difference hash along the columns.
        flat (bool): So even that the difference hashes say nothing.
    """

    size: tuple[int, int]
    digest: bytes
    across: int
    down: int
    flat: bool


def fingerprint(path: str | Path) -> Fingerprint:
    """Read and decode an image once, to the end.

    A JPEG is decoded at reduced size, which still reads every byte of it.

    Args:
        path (str | Path): The file.

    Returns:
        Fingerprint: Size and hashes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded to the end.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'image not found: {path}')
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f'image {path} cannot be decoded: {error}') from error
    with open_image(io.BytesIO(data), str(path)) as image:
        size = (image.height, image.width)
        image.draft('L', (4 * SIDE, 4 * SIDE))
        # As training sees it first: not every color space goes to gray at once.
        colors = image if image.mode in ('L', 'RGB') else image.convert('RGB')
        small = colors.convert('L').resize((SIDE, SIDE), Image.Resampling.BOX)
    gray = np.asarray(small, dtype=np.int16)
    return Fingerprint(
        size,
        hashlib.blake2b(data, digest_size=16).digest(),
        _bits(gray[:8, 1:] > gray[:8, :-1]),
        _bits(gray[1:, :8] > gray[:-1, :8]),
        float(gray.std()) < FLAT,
    )


def near_pairs(
    left: list[Fingerprint], right: list[Fingerprint], distance: int
) -> Iterator[tuple[int, int]]:
    """Find images of one list that look like one of another.

    Both difference hashes must agree up to ``distance`` bits of 64. Flat images are left out.

    Args:
        left (list[Fingerprint]): N images.
        right (list[Fingerprint]): M images.
        distance (int): Bits that may differ, in each of the two hashes.

    Returns:
        Iterator: Positions in ``left`` and ``right``.

    Raises:
        ValueError: If no two hashes, or any two, are that far apart.
    """
    if not 0 <= distance < 64:
        raise ValueError(f'distance must be from 0 to 63 bits of 64, got {distance}')
    right_flat = np.array([image.flat for image in right], dtype=bool)
    right_across, right_down = _hashes(right)
    for start in range(0, len(left), BLOCK):
        part = left[start : start + BLOCK]
        across, down = _hashes(part)
        near = np.bitwise_count(across[:, None] ^ right_across) <= distance
        near &= ~np.array([image.flat for image in part], dtype=bool)[:, None] & ~right_flat
        # The second hash is only looked at where the first agrees, which is seldom.
        for row, column in np.argwhere(near):
            if (int(down[row]) ^ int(right_down[column])).bit_count() <= distance:
                yield start + int(row), int(column)


def _bits(rises: np.ndarray) -> int:
    return int.from_bytes(np.packbits(rises).tobytes(), 'big')


def _hashes(images: list[Fingerprint]) -> tuple[np.ndarray, np.ndarray]:
    across = np.array([image.across for image in images], dtype=np.uint64)
    down = np.array([image.down for image in images], dtype=np.uint64)
    return across, down
