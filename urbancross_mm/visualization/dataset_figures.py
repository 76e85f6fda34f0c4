"""Figures of whole datasets: histograms of several groups, and maps of tiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

_COLORS = ('#1f77b4', '#d95f02', '#1b9e77', '#7570b3', '#e7298a', '#666666')
_BINS = 40


def draw_histograms(
    groups: Mapping[str, Sequence[float]], label: str, whole: bool = False
) -> np.ndarray:
    """Draw the distributions of several groups, each as a share of its own size.

    Args:
        groups (Mapping[str, Sequence[float]]): Numbers by name; empty groups are left out.
        label (str): Of the horizontal axis.
        whole (bool): The numbers are whole ones, and so are the bins. Defaults to False.

    Shape:
        - output: ``(H, W, 3)``.

    Returns:
        np.ndarray: uint8 RGB.

    Raises:
        ValueError: If there is no finite number.
    """
    arrays = {name: np.asarray(values, dtype=float) for name, values in groups.items()}
    finite = {name: values[np.isfinite(values)] for name, values in arrays.items()}
    drawn = {name: values for name, values in finite.items() if len(values)}
    if not drawn:
        raise ValueError(f'no finite number to draw for {label!r}')
    edges = _edges(np.concatenate(list(drawn.values())), whole)
    figure = Figure(figsize=(6.4, 3.2), dpi=110, layout='constrained')
    canvas = FigureCanvasAgg(figure)
    axis = figure.subplots()
    for number, (name, values) in enumerate(drawn.items()):
        heights, _ = np.histogram(values, edges)
        color = _COLORS[number % len(_COLORS)]
        axis.stairs(100 * heights / len(values), edges, color=color, linewidth=1.4, label=name)
        if number == 0:
            axis.stairs(100 * heights / len(values), edges, color=color, fill=True, alpha=0.15)
    axis.set_xlabel(label)
    axis.set_ylabel('share (%)')
    if whole:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(drawn) > 1:
        axis.legend(frameon=False)
    return _pixels(canvas)


def draw_tile_map(groups: Mapping[str, np.ndarray]) -> np.ndarray:
    """Draw where tiles lie, one color per group.

    Args:
        groups (Mapping[str, np.ndarray]): Longitude and latitude in degrees by name; empty groups
            are left out.

    Shape:
        - each group: ``(N, 2)``; output: ``(H, W, 3)``.

    Returns:
        np.ndarray: uint8 RGB, a degree of longitude as wide as it is in the middle of the map.

    Raises:
        ValueError: If there is no tile.
    """
    drawn = {name: points for name, points in groups.items() if len(points)}
    if not drawn:
        raise ValueError('no tile to draw on a map')
    points = np.concatenate(list(drawn.values()))
    figure = Figure(figsize=(6.4, 5.2), dpi=110, layout='constrained')
    canvas = FigureCanvasAgg(figure)
    axis = figure.subplots()
    size = float(np.clip(4000 / len(points), 2, 40))
    for number, (name, tiles) in enumerate(drawn.items()):
        axis.scatter(
            tiles[:, 0],
            tiles[:, 1],
            s=size,
            label=name,
            linewidths=0,
            alpha=0.7,
            color=_COLORS[number % len(_COLORS)],
        )
    middle = math.radians(min(89.0, abs(float(points[:, 1].min() + points[:, 1].max())) / 2))
    axis.set_aspect(1 / math.cos(middle), adjustable='datalim')
    axis.set_xlabel('longitude (degrees)')
    axis.set_ylabel('latitude (degrees)')
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(MaxNLocator(5))
        side.set_major_formatter(ScalarFormatter(useOffset=False))
    figure.legend(
        loc='outside upper center',
        ncols=len(drawn),
        frameon=False,
        markerscale=math.sqrt(30 / size),
    )
    return _pixels(canvas)


def _edges(values: np.ndarray, whole: bool) -> np.ndarray:
    """At most forty bins; for whole numbers each holds equally many of them."""
    low, high = float(values.min()), float(values.max())
    if whole:
        step = max(1, math.ceil((high - low + 1) / _BINS))
        return np.arange(low - 0.5, high + step + 0.5, step)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, _BINS + 1)


def _pixels(canvas: FigureCanvasAgg) -> np.ndarray:
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
