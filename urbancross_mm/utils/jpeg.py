"""JPEG by libjpeg-turbo, without the detour through Pillow's own image."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from PIL import Image

START = b'\xff\xd8\xff'
# Of CMYK, Pillow and simplejpeg make different colors.
COLORSPACES = ('YCbCr', 'Gray', 'RGB')
REDUCTIONS = (8, 4, 2)


def decode_jpeg(
    content: bytes, draft: int | None = None
) -> tuple[np.ndarray, tuple[int, int]] | None:
    """Decode a sound JPEG to the same bits as Pillow, in about half the time.

    Args:
        content (bytes): The file.
        draft (int | None): Shrink by 2, 4 or 8 while decoding, as long as no side falls below this
            many pixels. Defaults to None: the full size.

    Shape:
        - output: ``(H, W, 3)``.

    Returns:
        tuple[np.ndarray, tuple[int, int]] | None: The uint8 RGB image, and its height and width in
        the file. None for what Pillow must decide: no JPEG, a damaged or a huge one, CMYK, or no
        simplejpeg installed.
    """
    decoder = _decoder()
    if decoder is None or not content.startswith(START):
        return None
    try:
        height, width, colorspace, _ = decoder.decode_jpeg_header(content)
        most = Image.MAX_IMAGE_PIXELS
        if colorspace not in COLORSPACES or (most is not None and height * width > most):
            return None
        by = reduction((height, width), draft)
        image = decoder.decode_jpeg(
            content, 'RGB', min_height=-(-height // by), min_width=-(-width // by)
        )
    except ValueError:  # also of a warning, after which Pillow may go on
        return None
    return image, (height, width)


def reduction(shape: tuple[int, int], draft: int | None) -> int:
    """By how much a JPEG may shrink while it is decoded; Pillow's draft mode has the same rule."""
    if draft is None:
        return 1
    room = min(shape) // max(draft, 1)
    return next((by for by in REDUCTIONS if by <= room), 1)


@cache
def _decoder() -> Any:
    """The package, if it is installed."""
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg
