"""Scanning a raster by large windows, and by small ones where a query needs them."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np

from urbancross_mm.geo.raster_reading import bounded_cache
from urbancross_mm.inference.localization.lattice import Lattice
from urbancross_mm.inference.localization.window_scan import (
    Level,
    WindowScan,
    counts_of,
    scores_of,
)
from urbancross_mm.inference.localization.window_store import WindowStore
from urbancross_mm.utils.files import file_lock

SHARE = 0.15  # of the coarse windows, which are looked at closer


class CoarseToFineScan(WindowScan):
    """Large windows first, and the small ones only where a query scores best.

    Before the first query only the windows of the largest side are encoded, those that do not
    overlap. Each query then encodes the windows of the other sides whose middle lies in the best
    15 % of these, plus one. What one query encoded serves the next.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lock = Lock()

    def prepare(self, store: WindowStore) -> None:
        """Encode the large windows; see :class:`WindowScan`."""
        self.encode(self._coarse()[0], store)

    def levels(self, vector: np.ndarray, store: WindowStore) -> list[Level]:
        """Score the large windows, and encode and score what lies in the best of them."""
        with self._lock:  # a server asks from several threads
            return self._levels(vector, store)

    def _levels(self, vector: np.ndarray, store: WindowStore) -> list[Level]:
        numbers, coarse = self._coarse()
        scores, counts = scores_of(store, numbers, vector), counts_of(store.shares(numbers))
        known = counts > 0
        wanted = min(int(SHARE * known.sum()) + 1, int(known.sum()))
        best = np.argsort(np.where(known, -scores, np.inf), kind='stable')[:wanted]
        levels = [Level(coarse, scores.reshape(coarse.shape), counts.reshape(coarse.shape))]
        corners = coarse.centers()[best] - coarse.side / 2
        near = [
            np.flatnonzero(_lie_in(lattice.centers(), corners, coarse.side))
            for lattice in self.lattices[:-1]
        ]
        self._encode_kept(
            np.concatenate([first + some for first, some in zip(self.firsts, near)]), store
        )
        for first, lattice, some in zip(self.firsts, self.lattices, near):
            found, counts = np.zeros(len(lattice)), np.zeros(len(lattice))
            found[some] = scores_of(store, first + some, vector)
            counts[some] = counts_of(store.shares(first + some))
            shape = lattice.shape
            levels.append(Level(lattice, found.reshape(shape), counts.reshape(shape)))
        return levels

    def _encode_kept(self, numbers: np.ndarray, store: WindowStore) -> None:
        """Encode for a query, long after the raster was set."""
        if len(store.lacking(numbers)):
            path = self.view.raster.path
            with file_lock(store.folder), bounded_cache(), store.reading(path):
                self.encode(numbers, store)

    def _make_lattices(self, sides: tuple[int, ...]) -> tuple[Lattice, ...]:
        if len(set(sides)) < 2:
            raise ValueError(
                f'coarse-to-fine needs windows of two sides at least, got {list(sides)}'
            )
        return super()._make_lattices(sides)

    def _coarse(self) -> tuple[np.ndarray, Lattice]:
        numbers, lattice = self.lattices[-1].apart()
        return numbers + self.firsts[-2], lattice


def _lie_in(points: np.ndarray, corners: np.ndarray, side: float) -> np.ndarray:
    """Which points lie in one of some squares."""
    inside = np.zeros(len(points), dtype=bool)
    for row, column in corners:
        down, across = points[:, 0] - row, points[:, 1] - column
        inside |= (down >= 0) & (down < side) & (across >= 0) & (across < side)
    return inside
