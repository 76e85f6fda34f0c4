"""Encoding the windows of a raster, and scoring them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from urbancross_mm.geo.raster_reading import Bands, Range, read_overview, read_windows
from urbancross_mm.geo.rasters import Raster, Window
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.localization.lattice import Lattice, lattices_of
from urbancross_mm.inference.localization.window_store import ENCODED, NOT_ENCODED, WindowStore

SHARE = 0.15  # of the coarse windows, which are looked at closer
_ROWS = 8192  # scored at once
_OVERVIEW = 1024  # pixels a side


class Level(NamedTuple):
    """Scores of the windows of one lattice, and which of them are known, both of its shape."""

    lattice: Lattice
    scores: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class View:
    """A raster as a model sees it.

    Attributes:
        raster (Raster): The file.
        bands (tuple[int, ...]): Shown as red, green and blue.
        value_range (tuple[float, float]): The values of black and white.
    """

    raster: Raster
    bands: Bands
    value_range: Range

    @cached_property
    def overview(self) -> np.ndarray:
        """The whole raster in little, uint8, ``(H, W, 3)``; read once, for that may take long."""
        return read_overview(self.raster, self.bands, self.value_range, _OVERVIEW)


class WindowScan:
    """Every window of every scale, encoded once as an image of its own.

    Args:
        embedder (Embedder): The model.
        view (View): The raster.
        sides (tuple[int, ...]): Of the windows, in pixels.
        progress (bool): Show a progress bar. Defaults to True.
    """

    def __init__(
        self, embedder: Embedder, view: View, sides: tuple[int, ...], progress: bool = True
    ) -> None:
        self.embedder = embedder
        self.view = view
        self.progress = progress
        self.lattices = self._make_lattices(sides)
        self.firsts = np.cumsum([0, *map(len, self.lattices)])
        self.count = int(self.firsts[-1])
        self.encoded = 0  # by this object

    @property
    def settings(self) -> dict[str, Any]:
        """dict: What, beside the raster and the model, makes the rows."""
        return dict(kind='windows', sides=[lattice.side for lattice in self.lattices])

    @property
    def smallest(self) -> int:
        """int: Side of the smallest window, in pixels."""
        return int(self.lattices[0].side)

    def prepare(self, store: WindowStore) -> None:
        """Encode what every query needs.

        Args:
            store (WindowStore): Keeps it.
        """
        self.encode(np.arange(self.count), store)

    def levels(self, vector: np.ndarray, store: WindowStore) -> list[Level]:
        """Score the windows.

        Args:
            vector (np.ndarray): The query, ``(D,)``.
            store (WindowStore): Of the windows.

        Returns:
            list[Level]: Of each lattice.
        """
        scores = scores_of(store, np.arange(self.count), vector)
        return [
            Level(
                lattice,
                scores[first : first + len(lattice)].reshape(lattice.shape),
                (store.states[first : first + len(lattice)] == ENCODED).reshape(lattice.shape),
            )
            for first, lattice in zip(self.firsts, self.lattices)
        ]

    def encode(self, numbers: np.ndarray, store: WindowStore) -> None:
        """Encode windows that the store lacks, batch by batch under a progress bar.

        Args:
            numbers (np.ndarray): Of the windows, ascending.
            store (WindowStore): Keeps every batch at once.
        """
        todo = numbers[store.states[numbers] == NOT_ENCODED]
        windows = (self._window_of(int(number)) for number in todo)
        images = read_windows(self.view.raster, windows, self.view.bands, self.view.value_range)
        size = self.embedder.batch_size
        hidden = not (self.progress and len(todo))
        # The bar is closed before an error is printed.
        with tqdm(total=len(todo), desc='encode windows', unit='window', disable=hidden) as bar:
            for start in range(0, len(todo), size):
                some = todo[start : start + size]
                self._encode_batch(some, [next(images) for _ in some], store)
                bar.update(len(some))
        self.encoded += len(todo)

    def _make_lattices(self, sides: tuple[int, ...]) -> tuple[Lattice, ...]:
        return lattices_of(self.view.raster.width, self.view.raster.height, sides)

    def _encode_batch(
        self, numbers: np.ndarray, read: list[tuple[np.ndarray, np.ndarray]], store: WindowStore
    ) -> None:
        known = np.array([mask.any() for _, mask in read])
        rows = np.zeros((len(numbers), self.embedder.model.embed_dim), dtype=np.float32)
        if known.any():
            images = [image for (image, _), seen in zip(read, known) if seen]
            rows[known] = self.embedder.encode_images(images).numpy()
        store.write(numbers, rows, known)

    def _window_of(self, number: int) -> Window:
        which = int(np.searchsorted(self.firsts, number, side='right')) - 1
        return self.lattices[which].window(number - int(self.firsts[which]))


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
        scores = scores_of(store, numbers, vector)
        known = store.states[numbers] == ENCODED
        wanted = min(int(SHARE * known.sum()) + 1, int(known.sum()))
        best = np.argsort(np.where(known, -scores, np.inf), kind='stable')[:wanted]
        levels = [Level(coarse, scores.reshape(coarse.shape), known.reshape(coarse.shape))]
        corners = coarse.centers()[best] - coarse.side / 2
        for first, lattice in zip(self.firsts, self.lattices[:-1]):
            near = np.flatnonzero(_lie_in(lattice.centers(), corners, coarse.side))
            self.encode(first + near, store)
            found, seen = np.zeros(len(lattice)), np.zeros(len(lattice), dtype=bool)
            found[near] = scores_of(store, first + near, vector)
            seen[near] = store.states[first + near] == ENCODED
            levels.append(Level(lattice, found.reshape(lattice.shape), seen.reshape(lattice.shape)))
        return levels

    def _make_lattices(self, sides: tuple[int, ...]) -> tuple[Lattice, ...]:
        if len(set(sides)) < 2:
            raise ValueError(
                f'coarse-to-fine needs windows of two sides at least, got {list(sides)}'
            )
        return super()._make_lattices(sides)

    def _coarse(self) -> tuple[np.ndarray, Lattice]:
        numbers, lattice = self.lattices[-1].apart()
        return numbers + self.firsts[-2], lattice


def scores_of(store: WindowStore, numbers: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Inner products of a query with rows of a store.

    Args:
        store (WindowStore): The rows.
        numbers (np.ndarray): Which, ascending, ``(N,)``.
        vector (np.ndarray): The query, ``(D,)``.

    Returns:
        np.ndarray: float32, ``(N,)``.
    """
    rows = store.rows()
    if not rows.shape[1]:
        return np.zeros(len(numbers), dtype=np.float32)
    query = torch.from_numpy(np.asarray(vector, dtype=np.float32))
    scores = np.empty(len(numbers), dtype=np.float32)
    for start in range(0, len(numbers), _ROWS):
        some = numbers[start : start + _ROWS]
        whole = some[-1] - some[0] + 1 == len(some)  # a slice is not copied twice
        part = rows[some[0] : some[-1] + 1] if whole else rows[some]
        scores[start : start + _ROWS] = torch.from_numpy(part.astype(np.float32)) @ query
    return scores


def _lie_in(points: np.ndarray, corners: np.ndarray, side: float) -> np.ndarray:
    """Which points lie in one of some squares."""
    inside = np.zeros(len(points), dtype=bool)
    for row, column in corners:
        down, across = points[:, 0] - row, points[:, 1] - column
        inside |= (down >= 0) & (down < side) & (across >= 0) & (across < side)
    return inside
