"""One training sample on one sheet: exactly what the model gets."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from urbancross_mm.structures.class_maps import IGNORE_INDEX

_MARGIN, _LINE = 8, 15
_GOLDEN = 0.61803398875
_SIDE = 200  # of the image on the sheet, in pixels
_OUTLINE = 2  # pixels of the border of a mask, inside of it


def overlay_masks(image: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Tint each mask with a color of its own.

    Args:
        image (np.ndarray): uint8 RGB.
        masks (np.ndarray): One boolean mask per segment.

    Shape:
        - image, output: ``(H, W, 3)``; masks: ``(K, H, W)``.

    Returns:
        np.ndarray: uint8 RGB.
    """
    tinted = image.astype(np.float32)
    for number, mask in enumerate(masks):
        tinted[mask] = (tinted[mask] + np.array(distinct_color(number))) / 2
    return tinted.astype(np.uint8)


def overlay_classes(
    image: np.ndarray, labels: np.ndarray, palette: Sequence[Sequence[int]] | None = None
) -> np.ndarray:
    """Tint each pixel with the color of its class.

    Args:
        image (np.ndarray): uint8 RGB.
        labels (np.ndarray): Classes; a pixel of 255 stays as it is.
        palette (Sequence, optional): A color for each class. Defaults to None: colors far apart.

    Shape:
        - image, output: ``(H, W, 3)``; labels: ``(H, W)``.

    Returns:
        np.ndarray: uint8 RGB.
    """
    tinted = image.copy()
    for value in np.unique(labels[labels != IGNORE_INDEX]).tolist():
        color = palette[value] if palette and value < len(palette) else distinct_color(value)
        pixels = labels == value
        tinted[pixels] = (image[pixels].astype(np.int32) + np.array(color)) // 2
    return tinted


def outline_masks(image: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Draw the border of each mask in a color of its own.

    Args:
        image (np.ndarray): uint8 RGB.
        masks (np.ndarray): One boolean mask per segment; the first is drawn last, on top.

    Shape:
        - image, output: ``(H, W, 3)``; masks: ``(K, H, W)``.

    Returns:
        np.ndarray: uint8 RGB.
    """
    drawn = image.copy()
    for number in reversed(range(len(masks))):
        inner = masks[number]
        for _ in range(_OUTLINE):
            framed = np.pad(inner, 1)
            inner = (
                framed[1:-1, 1:-1]
                & framed[:-2, 1:-1]
                & framed[2:, 1:-1]
                & framed[1:-1, :-2]
                & framed[1:-1, 2:]
            )
        drawn[masks[number] & ~inner] = distinct_color(number)
    return drawn


def draw_sample_sheet(
    image: np.ndarray,
    captions: Sequence[str],
    title: str,
    segments: Sequence[np.ndarray] = (),
    masks: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    palette: Sequence[Sequence[int]] | None = None,
) -> np.ndarray:
    """Draw an image, its masks, class map and segments, and its captions.

    Args:
        image (np.ndarray): uint8 RGB.
        captions (Sequence[str]): Written below.
        title (str): First line; the caller puts id and domain there.
        segments (Sequence[np.ndarray]): uint8 RGB, as the segment encoder sees them.
            Defaults to ().
        masks (np.ndarray, optional): Boolean, drawn over the image. Defaults to None.
        labels (np.ndarray, optional): Class of each pixel, drawn over the image; 255 is not.
            Defaults to None.
        palette (Sequence, optional): A color for each class. Defaults to None: colors far apart.

    Shape:
        - image: ``(H, W, 3)``; each segment: ``(h, w, 3)``; masks: ``(K, H, W)``; labels:
          ``(H, W)``.

    Returns:
        np.ndarray: The sheet, uint8 RGB.
    """
    large = [image] if masks is None else [image, overlay_masks(image, masks)]
    if labels is not None:
        large.append(overlay_classes(image, labels, palette))
    half = _SIDE // 2
    columns = -(-len(segments) // 2)
    width = max(len(large) * (_SIDE + _MARGIN) + columns * (half + _MARGIN) + _MARGIN, 560)
    lines = [line for caption in captions for line in textwrap.wrap(f'- {caption}', width // 7)]
    canvas = Image.new('RGB', (width, _SIDE + 3 * _MARGIN + (len(lines) + 1) * _LINE), 'white')
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(12)
    draw.text((_MARGIN, 2), title, 'black', font)
    left, top = _MARGIN, _LINE + _MARGIN
    for panel in large:
        canvas.paste(Image.fromarray(panel).resize((_SIDE, _SIDE)), (left, top))
        left += _SIDE + _MARGIN
    for number, segment in enumerate(segments):
        corner = (left + number // 2 * (half + _MARGIN), top + number % 2 * half)
        canvas.paste(Image.fromarray(segment).resize((half - 2, half - 2)), corner)
        draw.rectangle(
            (*corner, corner[0] + half - 2, corner[1] + half - 2),
            outline=distinct_color(number),
            width=2,
        )
    for row, line in enumerate(lines):
        draw.text((_MARGIN, top + _SIDE + _MARGIN + row * _LINE), line, 'black', font)
    return np.asarray(canvas)


def distinct_color(number: int) -> tuple[int, int, int]:
    """One of distinct colors, however many: hues in golden-ratio steps.

    Args:
        number (int): Which one, from 0.

    Returns:
        tuple[int, int, int]: Red, green and blue.
    """
    import colorsys

    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.9, 0.95)
    return int(255 * red), int(255 * green), int(255 * blue)
