"""A map of scores over the image that it is of."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps

_COLORS = 'inferno'
_FAINTEST, _STRONGEST = 0.15, 0.7  # opacity


def draw_heat_map(
    image: np.ndarray, values: np.ndarray, extent: tuple[float, float] | None = None
) -> np.ndarray:
    """Lay a map over its image: the higher a score, the brighter and the less transparent.

    Args:
        image (np.ndarray): uint8 RGB.
        values (np.ndarray): The map, of any size; NaN stays transparent.
        extent (tuple[float, float], optional): Rows and columns of the map that lie in the image.
            Defaults to None: all.

    Shape:
        - image: ``(H, W, 3)``; values: ``(h, w)``; output: ``(H, W, 3)``.

    Returns:
        np.ndarray: uint8 RGB.
    """
    height, width = image.shape[:2]
    down, across = extent or values.shape
    scaled = scale_values(values)
    rows = _between(np.linspace(0, down, height, endpoint=False) + down / height / 2, len(values))
    columns = _between(
        np.linspace(0, across, width, endpoint=False) + across / width / 2, values.shape[1]
    )
    known = ~np.isnan(scaled)
    weights = rows @ known @ columns.T
    spread = rows @ np.nan_to_num(scaled) @ columns.T / np.maximum(weights, 1e-9)
    colors = colormaps[_COLORS](spread)[..., :3] * 255
    opacity = (_FAINTEST + (_STRONGEST - _FAINTEST) * spread) * (weights >= 0.5)
    return (image * (1 - opacity[..., None]) + colors * opacity[..., None]).round().astype(np.uint8)


def scale_values(values: np.ndarray) -> np.ndarray:
    """Scale a map to the range from 0 to 1.

    Args:
        values (np.ndarray): The map; NaN stays NaN. A map of one value becomes 0.

    Returns:
        np.ndarray: float32, of the same shape.
    """
    if np.isnan(values).all():
        return values.astype(np.float32)
    low, high = np.nanmin(values), np.nanmax(values)
    return ((values - low) / (high - low if high > low else 1)).astype(np.float32)


def _between(points: np.ndarray, count: int) -> np.ndarray:
    """Bilinear weights of cells at points, ``(P, count)``; cell k has its middle at k + 0.5."""
    distance = np.abs(np.clip(points, 0.5, count - 0.5)[:, None] - (np.arange(count) + 0.5))
    return np.maximum(0.0, 1 - distance)
