"""Encoding the windows of a raster, and scoring them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from urbancross_mm.geo.raster_reading import (
    Bands,
    Range,
    read_overview,
    read_windows,
)
from urbancross_mm.geo.rasters import Raster, Window
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.localization.lattice import Lattice, lattices_of
from urbancross_mm.inference.localization.window_store import WindowStore

_ROWS = 8192  # scored at once
_OVERVIEW = 1024  # pixels a side


class Level(NamedTuple):
    """Scores of the windows of one lattice, and how much each counts, both of its shape."""

    lattice: Lattice
    scores: np.ndarray
    counts: np.ndarray


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
                counts_of(store.shares(slice(first, first + len(lattice)))).reshape(lattice.shape),
            )
            for first, lattice in zip(self.firsts, self.lattices)
        ]

    def encode(self, numbers: np.ndarray, store: WindowStore) -> None:
        """Encode windows that the store lacks, batch by batch under a progress bar.

        Args:
            numbers (np.ndarray): Of the windows, ascending.
            store (WindowStore): Keeps every batch at once.
        """
        todo = store.lacking(numbers)
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
        shares = np.array([mask.mean() for _, mask in read])
        rows = np.zeros((len(numbers), self.embedder.model.embed_dim), dtype=np.float32)
        if shares.any():
            images = [fill_gaps(image, mask) for (image, mask), share in zip(read, shares) if share]
            rows[shares > 0] = self.embedder.encode_images(images).numpy()
        store.write(numbers, rows, shares)

    def _window_of(self, number: int) -> Window:
        which = int(np.searchsorted(self.firsts, number, side='right')) - 1
        return self.lattices[which].window(number - int(self.firsts[which]))


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
    query = torch.from_numpy(np.asarray(vector, dtype=np.float32))
    scores = np.empty(len(numbers), dtype=np.float32)
    for start in range(0, len(numbers), _ROWS):
        some = numbers[start : start + _ROWS]
        whole = some[-1] - some[0] + 1 == len(some)  # a slice is not copied twice
        part = rows[some[0] : some[-1] + 1] if whole else rows[some]
        scores[start : start + _ROWS] = torch.from_numpy(part.astype(np.float32)) @ query
    return scores


def counts_of(shares: np.ndarray) -> np.ndarray:
    """How much windows count by the part of them that has data.

    Of the windows that cover a place beside a straight border of the data, one of each scale is
    half full at least. The emptier ones tell of the border more than of the place. They count a
    thousandth, so only where no other does.

    Args:
        shares (np.ndarray): From 0 to 1.

    Returns:
        np.ndarray: The same shape.
    """
    return np.where(shares >= 0.5, shares, shares / 1000)


def fill_gaps(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Give the mean color to what has no data; black would be a thing to find.

    Args:
        image (np.ndarray): uint8, ``(H, W, 3)``.
        known (np.ndarray): Which pixels have data, ``(H, W)``.

    Returns:
        np.ndarray: The image, or a changed copy.
    """
    if known.all() or not known.any():
        return image
    filled = image.copy()
    filled[~known] = image[known].mean(axis=0).round()
    return filled
