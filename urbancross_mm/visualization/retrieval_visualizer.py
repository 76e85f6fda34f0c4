"""Grids of search results."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.visualization import Visualizer
from PIL import Image, ImageDraw, ImageFont

from urbancross_mm.registry import VISUALIZERS
from urbancross_mm.structures import SearchHit
from urbancross_mm.utils.images import read_image

_RELEVANT, _OTHER, _UNKNOWN = (34, 139, 34), (200, 40, 40), (120, 120, 120)
_MARGIN, _BORDER, _LINE = 8, 4, 15


@VISUALIZERS.register_module()
class RetrievalVisualizer(Visualizer):
    """mmengine's visualizer, which can also draw result grids.

    Args:
        name (str): Key of the visualizer in mmengine. Defaults to 'visualizer'.
        thumb_size (int): Side of a thumbnail in pixels. Defaults to 160.
        **kwargs: Passed to :class:`mmengine.visualization.Visualizer`.
    """

    def __init__(self, name: str = 'visualizer', thumb_size: int = 160, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.thumb_size = thumb_size

    def draw_grid(self, query: str | Path, results: Sequence[SearchHit]) -> np.ndarray:
        """Draw a query above its ranked images.

        Args:
            query (str | Path): A text, or the path of a query image.
            results (Sequence[SearchHit]): Best first.

        Shape:
            - output: ``(H, W, 3)``, uint8 RGB.

        Returns:
            np.ndarray: The grid. Relevant images have a green border, others a red one.

        Raises:
            ValueError: If there is nothing to draw.
        """
        if not results:
            raise ValueError(f'no images to draw for the query {str(query)!r}')
        columns = len(results) + isinstance(query, Path)
        width = max(columns * (self.thumb_size + _MARGIN) + _MARGIN, 480)
        lines = [] if isinstance(query, Path) else textwrap.wrap(f'"{query}"', width // 7)
        top = _MARGIN + len(lines) * _LINE + _MARGIN * bool(lines)
        canvas = Image.new('RGB', (width, top + self.thumb_size + 3 * _LINE), 'white')
        draw = ImageDraw.Draw(canvas)
        font = ImageFont.load_default(12)
        for row, line in enumerate(lines):
            draw.text((_MARGIN, _MARGIN + row * _LINE), line, 'black', font)
        cells = list(results)
        if isinstance(query, Path):
            cells.insert(0, SearchHit(str(query), float('nan'), None, 'query'))
        for column, cell in enumerate(cells):
            left = _MARGIN + column * (self.thumb_size + _MARGIN)
            self._draw_cell(canvas, draw, font, cell, left, top)
        return np.asarray(canvas)

    def _draw_cell(
        self,
        canvas: Image.Image,
        draw: ImageDraw.ImageDraw,
        font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
        cell: SearchHit,
        left: int,
        top: int,
    ) -> None:
        size = self.thumb_size
        color = {True: _RELEVANT, False: _OTHER, None: _UNKNOWN}[cell.relevant]
        draw.rectangle((left, top, left + size - 1, top + size - 1), fill=color)
        inner = size - 2 * _BORDER
        pixels = read_image(cell.img_path)[0] if cell.pixels is None else cell.pixels
        canvas.paste(
            Image.fromarray(pixels).resize((inner, inner)), (left + _BORDER, top + _BORDER)
        )
        score = '' if np.isnan(cell.score) else f'{cell.score:.3f}  '
        name = cell.caption or Path(cell.img_path).stem
        draw.text((left, top + size + 2), (score + name)[: size // 6], 'black', font)
        if len(score + name) > size // 6:
            draw.text(
                (left, top + size + 2 + _LINE), (score + name)[size // 6 : size // 3], 'black', font
            )
