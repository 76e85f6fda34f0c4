"""Where the windows of one scale lie, and how their scores spread over a map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from urbancross_mm.geo.rasters import Window


@dataclass(frozen=True)
class Lattice:
    """Square windows on a grid, numbered row by row.

    The score of a window counts at a point by its Hann weight there, the product of that along the
    rows and that along the columns: 1 in the middle of the window, 0 from ``reach`` on.

    Attributes:
        side (float): Of a window, in pixels of the raster.
        rows (np.ndarray): Upper edge of each row of windows, in pixels.
        columns (np.ndarray): Left edge of each column of windows.
        reach (float): In pixels, from the middle of a window. Two neighbors reach each other's
            middle at least, so every point is covered.
    """

    side: float
    rows: np.ndarray
    columns: np.ndarray
    reach: float

    @classmethod
    def half_offset(cls, width: int, height: int, side: int) -> Lattice:
        """Windows that overlap by half, the last ones moved to end at the border."""
        rows, columns = (_starts(length, side, max(1, side // 2)) for length in (height, width))
        return cls(side, rows, columns, reach=side / 2)

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns of windows."""
        return len(self.rows), len(self.columns)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def window(self, index: int) -> Window:
        """Column, row, width and height of a window of whole pixels."""
        row, column = divmod(index, len(self.columns))
        return int(self.columns[column]), int(self.rows[row]), int(self.side), int(self.side)

    def apart(self) -> tuple[np.ndarray, Lattice]:
        """The numbers of windows that do not overlap, and their lattice: every second one.

        The last ones at the border overlap the others, where the side does not fit.
        """
        rows, columns = (_every_second(len(starts)) for starts in (self.rows, self.columns))
        numbers = (rows[:, None] * len(self.columns) + columns).ravel()
        some = replace(
            self, rows=self.rows[rows], columns=self.columns[columns], reach=2 * self.reach
        )
        return numbers, some

    def centers(self) -> np.ndarray:
        """Row and column of the middle of each window, in pixels, ``(N, 2)``."""
        grid = np.meshgrid(self.rows, self.columns, indexing='ij')
        return np.stack(grid, axis=-1).reshape(-1, 2) + self.side / 2

    def spread(
        self, scores: np.ndarray, counts: np.ndarray, down: np.ndarray, across: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weighted sum of the scores, and sum of their weights, at points.

        Where all windows count 1, the weights add up to 1 at every point, also at the border.

        Shape:
            - scores, counts (0 to 1): ``shape``; down: ``(H,)``; across: ``(W,)``, in pixels.
            - output: ``(H, W)`` each.
        """
        rows, weights_down = _weights(self.rows + self.side / 2, self.reach, down)
        columns, weights_across = _weights(self.columns + self.side / 2, self.reach, across)
        weights_down /= weights_down.sum(axis=0)
        weights_across /= weights_across.sum(axis=0)
        some = counts[rows, columns]
        sums = weights_down.T @ (some * scores[rows, columns]) @ weights_across
        return sums, weights_down.T @ some @ weights_across


def lattices_of(width: int, height: int, sides: tuple[int, ...]) -> tuple[Lattice, ...]:
    """One lattice for each side, the finest first. A side that does not fit becomes one that does.

    Raises:
        ValueError: If there is no side, or one is below 8 pixels.
    """
    if not sides or min(sides) < 8:
        raise ValueError(f'the sides of the windows must be at least 8 pixels, got {list(sides)}')
    fitting = sorted({min(side, width, height) for side in sides})
    return tuple(Lattice.half_offset(width, height, side) for side in fitting)


def _starts(length: int, side: int, stride: int) -> np.ndarray:
    starts = np.arange(0, length - side + 1, stride)
    last = length - side
    return starts if starts[-1] == last else np.append(starts, last)


def _every_second(number: int) -> np.ndarray:
    some = np.arange(0, number, 2)
    return some if some[-1] == number - 1 else np.append(some, number - 1)


def _weights(centers: np.ndarray, reach: float, points: np.ndarray) -> tuple[Any, np.ndarray]:
    """The windows that reach the points, as a slice, and their weights ``(windows, points)``."""
    first = int(np.searchsorted(centers, points[0] - reach, side='right'))
    last = int(np.searchsorted(centers, points[-1] + reach, side='left'))
    near = slice(first, max(first, last))
    distance = np.abs(centers[near, None] - points) / reach
    return near, np.where(distance < 1, 0.5 + 0.5 * np.cos(np.pi * distance), 0.0)
