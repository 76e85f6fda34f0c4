"""Encoding a raster position by position, each pixel once for all the windows that hold it."""

from __future__ import annotations

from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d
from tqdm import tqdm

from urbancross_mm.datasets.transforms.geometry import resize_image
from urbancross_mm.geo.raster_reading import read_windows
from urbancross_mm.geo.rasters import Window
from urbancross_mm.inference.localization.dense_features import DenseFeatures
from urbancross_mm.inference.localization.lattice import Lattice, lattices_of
from urbancross_mm.inference.localization.window_scan import WindowScan, fill_gaps
from urbancross_mm.inference.localization.window_store import WindowStore

_CORE = 32  # positions a side that a piece of a raster gives, where the encoder takes any size
_CONTEXT = 2  # positions around what is averaged, for what the encoder sees beyond


class Piece(NamedTuple):
    """A part of a raster that is encoded at once.

    Attributes:
        first: Number of the first position of its lattice.
        row: First row of positions that it gives.
        column: First column.
        core: Positions a side that it gives.
        pitch: Pixels of the raster between two positions.
        lattice: Of the positions.
    """

    first: int
    row: int
    column: int
    core: int
    pitch: int
    lattice: Lattice


class DenseScan(WindowScan):
    """Every position of the feature map of a raster, for each scale.

    Where the embedding of a window is the mean of its positions, projected, a position gets the
    embedding of the window around it. Else it gets its own.
    """

    def _make_lattices(self, sides: tuple[int, ...]) -> tuple[Lattice, ...]:
        self.features = DenseFeatures.of(self.embedder)
        raster, features = self.view.raster, self.features
        checked = lattices_of(raster.width, raster.height, sides)
        pitches = sorted({max(1, round(lattice.side / features.across)) for lattice in checked})
        self.pitches = pitches
        margin = features.across // 4 if features.fixed else features.box // 2 + _CONTEXT
        self.margin = margin
        self.core = features.across - 2 * margin if features.fixed else _CORE
        return tuple(
            Lattice(
                side=features.box * pitch,
                rows=(np.arange(-(-raster.height // pitch)) - features.box // 2) * pitch,
                columns=(np.arange(-(-raster.width // pitch)) - features.box // 2) * pitch,
                reach=pitch,
            )
            for pitch in pitches
        )

    @property
    def settings(self) -> dict[str, Any]:
        """dict: What, beside the raster and the model, makes the rows."""
        return dict(kind='dense', pitches=self.pitches, box=self.features.box)

    @property
    def smallest(self) -> int:
        """int: Side of the smallest window, in pixels."""
        return self.features.across * self.pitches[0]

    def prepare(self, store: WindowStore) -> None:
        """Encode what the store lacks, piece by piece under a progress bar.

        Args:
            store (WindowStore): Keeps every piece at once.
        """
        pieces = [piece for piece in self._pieces() if len(store.lacking(self._numbers(piece)))]
        windows = (self._window(piece)[0] for piece in pieces)
        images = read_windows(self.view.raster, windows, self.view.bands, self.view.value_range)
        hidden = not (self.progress and pieces)
        with tqdm(total=len(pieces), desc='encode raster', unit='piece', disable=hidden) as bar:
            for side, some in groupby(pieces, key=self._positions):
                # As many pixels as a batch of windows has.
                size = self.embedder.batch_size * self.features.across**2 // side**2
                for batch in _batches(list(some), max(1, size)):
                    self._encode_pieces(batch, [next(images) for _ in batch], store)
                    bar.update(len(batch))

    @torch.no_grad()
    def _encode_pieces(
        self, pieces: list[Piece], read: list[tuple[np.ndarray, np.ndarray]], store: WindowStore
    ) -> None:
        features, core, margin = self.features, pieces[0].core, self.margin
        padded = [self._pad(piece, *one) for piece, one in zip(pieces, read)]
        side = self._positions(pieces[0]) * features.stride
        images = [
            torch.from_numpy(
                resize_image(image, (side, side), features.resize.interpolation).transpose(2, 0, 1)
            )
            for image, _ in padded
        ]
        maps = features.encode(self.embedder.normalized(images)).float()
        for piece, (_, seen), values in zip(pieces, padded, maps):
            known = torch.from_numpy(seen).to(values)
            rows = features.finish(self._means(values, known, core)).float().cpu().numpy()
            numbers = self._numbers(piece)
            inside = self._inside(piece)
            data = seen[margin:, margin:][:core, :core][inside]
            rows = rows.reshape(core, core, -1)[inside].reshape(len(numbers), -1)
            store.write(numbers, rows, data.ravel())
            self.encoded += len(numbers)

    def _means(self, values: Tensor, known: Tensor, core: int) -> Tensor:
        """Means of the known positions in the box around each one of the core, ``(core², C)``."""
        box, first = self.features.box, self.margin - self.features.box // 2
        last = first + core + box - 1
        weights = avg_pool2d(known[None, None, first:last, first:last], box, 1)
        sums = avg_pool2d((values * known)[None, :, first:last, first:last], box, 1)
        return (sums / weights.clamp(min=1e-9))[0].flatten(1).T

    def _pieces(self) -> list[Piece]:
        return [
            Piece(int(first), row, column, core, pitch, lattice)
            for first, lattice, pitch in zip(self.firsts, self.lattices, self.pitches)
            for core in [self.core if self.features.fixed else min(_CORE, max(lattice.shape))]
            for row in range(0, lattice.shape[0], core)
            for column in range(0, lattice.shape[1], core)
        ]

    def _positions(self, piece: Piece) -> int:
        """Along the side of a piece, with its margins."""
        return piece.core + 2 * self.margin

    def _inside(self, piece: Piece) -> tuple[slice, slice]:
        """The part of the core that lies in the raster."""
        height, width = piece.lattice.shape
        return slice(height - piece.row), slice(width - piece.column)

    def _numbers(self, piece: Piece) -> np.ndarray:
        height, width = piece.lattice.shape
        rows = np.arange(piece.row, min(piece.row + piece.core, height))
        columns = np.arange(piece.column, min(piece.column + piece.core, width))
        return (piece.first + rows[:, None] * width + columns).ravel()

    def _window(self, piece: Piece) -> tuple[Window, tuple[int, int, int, int]]:
        """What to read of the raster, and what lacks at its top, bottom, left and right."""
        length = self._positions(piece) * piece.pitch
        left, top = ((start - self.margin) * piece.pitch for start in (piece.column, piece.row))
        right = min(left + length, self.view.raster.width)
        bottom = min(top + length, self.view.raster.height)
        x, y = max(left, 0), max(top, 0)
        lack = (y - top, top + length - bottom, x - left, left + length - right)
        return (x, y, right - x, bottom - y), lack

    def _pad(
        self, piece: Piece, image: np.ndarray, known: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mirror a piece beyond the border; which of its positions have data."""
        top, bottom, left, right = self._window(piece)[1]
        around = ((top, bottom), (left, right))
        image = np.pad(fill_gaps(image, known), (*around, (0, 0)), mode='symmetric')
        shape = (self._positions(piece), piece.pitch) * 2
        return image, np.pad(known, around).reshape(shape).max(axis=(1, 3))


def _batches(pieces: list[Piece], size: int) -> list[list[Piece]]:
    return [pieces[start : start + size] for start in range(0, len(pieces), size)]
