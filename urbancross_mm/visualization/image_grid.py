"""Many small images in one grid, each above its name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_SIDE, _MARGIN, _LINE, _COLUMNS = 140, 6, 14, 6
_LETTERS = 22  # of a name that fit under an image


def draw_image_grid(images: Sequence[np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Draw images in rows of six.

    Args:
        images (Sequence[np.ndarray]): uint8 RGB of any size; one at least.
        names (Sequence[str]): One of each; of a long one the end is shown.

    Shape:
        - each image, output: ``(H, W, 3)``.

    Returns:
        np.ndarray: The sheet, uint8 RGB.
    """
    cell = _SIDE + _MARGIN
    columns, rows = min(len(images), _COLUMNS), -(-len(images) // _COLUMNS)
    size = columns * cell + _MARGIN, rows * (cell + _LINE) + _MARGIN
    canvas = Image.new('RGB', size, 'white')
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    for number, (image, name) in enumerate(zip(images, names)):
        left = _MARGIN + number % _COLUMNS * cell
        top = _MARGIN + number // _COLUMNS * (cell + _LINE)
        canvas.paste(Image.fromarray(image).resize((_SIDE, _SIDE)), (left, top))
        short = name if len(name) <= _LETTERS else '...' + name[3 - _LETTERS :]
        draw.text((left, top + _SIDE), short, 'black', font)
    return np.asarray(canvas)
