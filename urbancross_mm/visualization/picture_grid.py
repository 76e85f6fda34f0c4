"""Many small pictures on one sheet, each above its name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_SIDE, _MARGIN, _LINE, _COLUMNS = 140, 6, 14, 6
_LETTERS = 22  # of a name that fit under a picture


def draw_picture_grid(pictures: Sequence[np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Draw pictures in rows of six.

    Args:
        pictures (Sequence[np.ndarray]): uint8 RGB of any size; one at least.
        names (Sequence[str]): One of each; of a long one the end is shown.

    Shape:
        - each picture, output: ``(H, W, 3)``.

    Returns:
        np.ndarray: The sheet, uint8 RGB.
    """
    cell = _SIDE + _MARGIN
    columns, rows = min(len(pictures), _COLUMNS), -(-len(pictures) // _COLUMNS)
    size = columns * cell + _MARGIN, rows * (cell + _LINE) + _MARGIN
    canvas = Image.new('RGB', size, 'white')
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    for number, (picture, name) in enumerate(zip(pictures, names)):
        left = _MARGIN + number % _COLUMNS * cell
        top = _MARGIN + number // _COLUMNS * (cell + _LINE)
        canvas.paste(Image.fromarray(picture).resize((_SIDE, _SIDE)), (left, top))
        short = name if len(name) <= _LETTERS else '...' + name[3 - _LETTERS :]
        draw.text((left, top + _SIDE), short, 'black', font)
    return np.asarray(canvas)
