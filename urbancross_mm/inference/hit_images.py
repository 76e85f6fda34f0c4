"""The pixels that a hit shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from urbancross_mm.geo.raster_files import is_geotiff
from urbancross_mm.geo.rasters import Raster
from urbancross_mm.structures import SearchHit
from urbancross_mm.utils.images import read_image
from urbancross_mm.visualization import RetrievalVisualizer

Window = tuple[int, int, int, int]


def read_hit_image(hit: Mapping[str, Any]) -> np.ndarray:
    """Read an image, or the window of a raster that a hit names.

    Args:
        hit (Mapping): With ``img_path``, and ``window`` if it is a part of a raster.

    Shape:
        - output: ``(H, W, 3)``.

    Returns:
        np.ndarray: uint8 RGB.

    Raises:
        FileNotFoundError: If the file is gone.
        ValueError: If it cannot be read, or the hit has no file.
    """
    path = hit.get('img_path')
    if not path:
        raise ValueError(f'the item {hit.get("id")!r} has no image file')
    if not is_of_raster(hit):
        return read_image(path)[0]
    if not Path(path).is_file():
        raise FileNotFoundError(f'image not found: {path}')
    raster, window = open_window(hit)
    bands = raster.color_bands
    return raster.read(window, bands, raster.value_range(bands))[0]


def is_of_raster(hit: Mapping[str, Any]) -> bool:
    """Whether a hit is a raster or a part of one, and no plain image.

    Args:
        hit (Mapping): See :func:`read_hit_image`.

    Returns:
        bool: True for a window and for a GeoTIFF.
    """
    return bool(hit.get('window')) or is_geotiff(Path(hit['img_path']))


def open_window(hit: Mapping[str, Any]) -> tuple[Raster, Window]:
    """Open the raster of a hit.

    Args:
        hit (Mapping): See :func:`read_hit_image`.

    Returns:
        tuple[Raster, Window]: The raster, and column, row, width and height of the part.

    Raises:
        ValueError: If it is no raster that can be read.
    """
    raster = Raster.open(Path(hit['img_path']))
    column, row, width, height = hit.get('window') or (0, 0, raster.width, raster.height)
    return raster, (int(column), int(row), int(width), int(height))


def hit_image(hit: Mapping[str, Any]) -> str | np.ndarray:
    """What a model takes of a hit: the path of an image, or the pixels of a window.

    Args:
        hit (Mapping): See :func:`read_hit_image`.

    Returns:
        str | np.ndarray: The path, or uint8 RGB ``(H, W, 3)``.

    Raises:
        FileNotFoundError: If a raster is gone.
        ValueError: If a window cannot be read.
    """
    return read_hit_image(hit) if hit.get('window') else str(hit['img_path'])


def draw_answers(
    answers: Sequence[tuple[str | Path, Sequence[Mapping[str, Any]]]], out: str | Path
) -> None:
    """Draw a result grid, one row per query.

    Args:
        answers (Sequence): Queries, texts or paths of images, each with its hits.
        out (str | Path): The image file; its folder is made.

    Raises:
        FileNotFoundError: If an image is gone.
        ValueError: If a query has no hits, or an image cannot be read.
    """
    visualizer = RetrievalVisualizer()
    rows = [
        Image.fromarray(visualizer.draw_grid(query, [_cell(hit) for hit in hits]))
        for query, hits in answers
    ]
    grid = Image.new('RGB', (max(r.width for r in rows), sum(r.height for r in rows)), 'white')
    top = 0
    for row in rows:
        grid.paste(row, (0, top))
        top += row.height
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    grid.save(out)


def _cell(hit: Mapping[str, Any]) -> SearchHit:
    caption = ''
    if hit.get('window'):
        caption = f'{Path(hit["img_path"]).stem} {",".join(map(str, hit["window"][:2]))}'
    return SearchHit(
        str(hit.get('img_path')), hit['score'], caption=caption, pixels=read_hit_image(hit)
    )
