"""Class maps in color, over their images, and with a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from urbancross_mm.visualization.sample_sheet import distinct_color, overlay_classes

_MARGIN, _LINE, _KEY = 8, 16, 10
_SIDE = 320  # the longer side of a panel, in pixels
_SMALLEST_SHARE = 0.0005
_NO_CLASS = (128, 128, 128)

Color = tuple[int, int, int]


def color_classes(class_map: np.ndarray, palette: Sequence[Color]) -> np.ndarray:
    """Paint every pixel in the color of its class.

    Args:
        class_map (np.ndarray): uint8; what is no class (255) is gray.
        palette (Sequence): Red, green and blue of each class.

    Shape:
        - class_map: ``(H, W)``; output: ``(H, W, 3)``.

    Returns:
        np.ndarray: uint8 RGB.
    """
    colors = np.full((256, 3), _NO_CLASS, np.uint8)
    colors[: len(palette)] = palette
    return colors[class_map]


def draw_class_map(
    image: np.ndarray,
    class_map: np.ndarray,
    shares: Mapping[str, float],
    names: Sequence[str],
    palette: Sequence[Color] | None = None,
) -> np.ndarray:
    """Draw an image, its class map, both together, and a legend of the classes that occur.

    Args:
        image (np.ndarray): uint8 RGB.
        class_map (np.ndarray): uint8.
        shares (Mapping[str, float]): Share of the image, 0 to 1, of each class that occurs.
        names (Sequence[str]): Of all classes.
        palette (Sequence, optional): Red, green and blue of each class. Defaults to None: distinct
            colors.

    Shape:
        - image: ``(H, W, 3)``; class_map: ``(H, W)``.

    Returns:
        np.ndarray: uint8 RGB.

    Raises:
        ValueError: If image and map differ in size.
    """
    if image.shape[:2] != class_map.shape:
        raise ValueError(f'the image has {image.shape[:2]} pixels, its class map {class_map.shape}')
    palette = palette or [distinct_color(number) for number in range(len(names))]
    factor = _SIDE / max(class_map.shape)
    height, width = (max(1, round(side * factor)) for side in class_map.shape)
    drawings = [
        image,
        color_classes(class_map, palette),
        overlay_classes(image, class_map, palette),
    ]
    # Nearest for the map alone: between two colors lies that of a third class.
    kernels = [Image.Resampling.BILINEAR, Image.Resampling.NEAREST, Image.Resampling.BILINEAR]
    panels = [
        Image.fromarray(drawing).resize((width, height), kernel)
        for drawing, kernel in zip(drawings, kernels)
    ]
    legend = _draw_legend(shares, dict(zip(names, palette)))
    sheet = Image.new(
        'RGB',
        (3 * (width + _MARGIN) + _MARGIN + legend.width, max(height, legend.height) + 2 * _MARGIN),
        'white',
    )
    for number, panel in enumerate([*panels, legend]):
        sheet.paste(panel, (_MARGIN + number * (width + _MARGIN), _MARGIN))
    return np.asarray(sheet)


def _draw_legend(shares: Mapping[str, float], colors: Mapping[str, Color]) -> Image.Image:
    font = ImageFont.load_default(12)
    shown = {name: f'{name} {_percent(share)}' for name, share in shares.items()}
    width = max((int(font.getlength(text)) for text in shown.values()), default=0)
    legend = Image.new('RGB', (_KEY + 2 * _MARGIN + width, _LINE * len(shown) + 1), 'white')
    draw = ImageDraw.Draw(legend)
    for row, (name, text) in enumerate(shown.items()):
        top = row * _LINE + 2
        draw.rectangle((0, top, _KEY, top + _KEY), fill=colors[name], outline='gray')
        draw.text((_KEY + _MARGIN, top - 2), text, 'black', font)
    return legend


def _percent(share: float) -> str:
    return '< 0.1 %' if share < _SMALLEST_SHARE else f'{100 * share:.1f} %'
