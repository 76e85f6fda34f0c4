"""Heat maps of every domain against every other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

_CELL, _COLUMNS = 1.05, 3
_HOLE = '0.88'


def draw_domain_matrix(
    panels: Mapping[str, np.ndarray],
    texts: Mapping[str, Sequence[Sequence[str]]],
    domains: Sequence[str],
    label: str = '',
) -> np.ndarray:
    """Draw one heat map per method, all on one color scale.

    Args:
        panels (Mapping[str, np.ndarray]): Title to numbers, sources down and targets across; NaN
            cells are gray.
        texts (Mapping[str, Sequence[Sequence[str]]]): Title to the texts of the cells.
        domains (Sequence[str]): Names of rows and columns.
        label (str): Title of the color scale. Defaults to ''.

    Shape:
        - each panel and its texts: ``(D, D)`` for D domains; output: ``(H, W, 3)``.

    Returns:
        np.ndarray: uint8 RGB.

    Raises:
        ValueError: If there is no panel, or numbers, texts and domains differ in size.
    """
    _check(panels, texts, domains)
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    side = max(2.4, _CELL * len(domains))
    figure = Figure(
        figsize=(columns * (side + 1.1) + 1.2, rows * (side + 1.7)), dpi=120, layout='constrained'
    )
    canvas = FigureCanvasAgg(figure)
    scale = _common_scale(panels)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, (title, values) in zip(axes.flat, panels.items()):
        _draw_panel(axis, title, values, texts[title], domains, scale)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    figure.colorbar(scale, ax=axes, label=label)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw_panel(
    axis: Axes,
    title: str,
    values: np.ndarray,
    texts: Sequence[Sequence[str]],
    domains: Sequence[str],
    scale: ScalarMappable,
) -> None:
    axis.set_facecolor(_HOLE)
    low, high = scale.get_clim()
    axis.imshow(np.ma.masked_invalid(values), cmap=scale.cmap, vmin=low, vmax=high)
    axis.set_title(title)
    axis.set_xlabel('target')
    axis.set_ylabel('source')
    axis.set_xticks(range(len(domains)), domains, rotation=30, ha='right')
    axis.set_yticks(range(len(domains)), domains)
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            value = values[row, column]
            axis.text(
                column,
                row,
                text.replace(' ± ', '\n± '),
                ha='center',
                va='center',
                fontsize=8,
                color='black' if np.isnan(value) else _readable(scale, value),
            )


def _readable(scale: ScalarMappable, value: float) -> str:
    """Black on light cells, white on dark ones."""
    red, green, blue, _ = np.asarray(scale.to_rgba(np.asarray(value)))
    return 'black' if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else 'white'


def _common_scale(panels: Mapping[str, np.ndarray]) -> ScalarMappable:
    known = np.concatenate([values[np.isfinite(values)] for values in panels.values()])
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return ScalarMappable(Normalize(low, high), colormaps['viridis'])


def _check(
    panels: Mapping[str, np.ndarray],
    texts: Mapping[str, Sequence[Sequence[str]]],
    domains: Sequence[str],
) -> None:
    if not panels or not domains:
        raise ValueError(f'nothing to draw: {len(panels)} panels of {len(domains)} domains')
    side = len(domains)
    for title, values in panels.items():
        lengths = [len(line) for line in texts.get(title, ())]
        if values.shape != (side, side) or lengths != [side] * side:
            raise ValueError(
                f'the panel {title!r} needs {side} x {side} numbers and texts, got '
                f'numbers {values.shape} and rows of {lengths} texts'
            )
