"""Windows of a GeoTIFF as the source of an index."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.dataset import Compose
from torch.utils.data import Dataset

from urbancross_mm.geo.rasters import Raster, Window
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.image_files import EncodedFiles, ImageItem, load_image
from urbancross_mm.inference.indexing.base_source import BaseSource, plain
from urbancross_mm.utils.hashing import FileStamp

# A window with less data than this share shows mostly the edge of the raster.
LEAST_DATA = 0.5


class RasterWindows(Dataset):
    """Windows of one raster, each through the test pipeline."""

    def __init__(
        self,
        raster: Raster,
        windows: Sequence[Window],
        stamp: FileStamp,
        pipeline: Compose,
        skip_bad: bool,
    ) -> None:
        self.raster, self.windows, self.stamp = raster, windows, stamp
        self.pipeline, self.skip_bad = pipeline, skip_bad
        self.bands = raster.color_bands
        self.value_range = raster.value_range(self.bands)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, position: int) -> ImageItem:
        try:
            pixels, known, blank = self.raster.read(
                self.windows[position], self.bands, self.value_range
            )
        except ValueError as error:
            if not self.skip_bad:
                raise ValueError(f'{self.raster.path}: {error}') from error
            return ImageItem(position, None, None)
        state = os.stat(self.raster.path)
        if (state.st_size, state.st_mtime_ns) != self.stamp[:2]:
            raise ValueError(f'{self.raster.path} changed while it was read: try again')
        # One value is a fact, such as water; zeros or ones in all bits are what borders have.
        border = blank and set(pixels.max((0, 1)).tolist()) in ({0}, {255})
        if known < LEAST_DATA or border:
            return ImageItem(position, None, self.stamp)
        return ImageItem(position, load_image(pixels, self.pipeline), self.stamp)


class RasterSource(BaseSource):
    """Windows of one GeoTIFF; the last column and row of windows end at its edge.

    Args:
        name (str): Of the source.
        path (str): The GeoTIFF.
        tile_size (int): Side of a window in pixels.
        stride (int): Pixels from one window to the next.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no GeoTIFF, or cannot be cut this way.
    """

    def __init__(self, name: str, path: str, tile_size: int, stride: int) -> None:
        self.name, self.path = name, path
        try:
            self.raster = Raster.open(Path(os.path.abspath(path)))
            absurd = self.raster.why_absurd(tile_size, stride)
            if absurd:
                raise ValueError(absurd)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
        self.origin = str(self.raster.path)
        width, height = self.raster.width, self.raster.height
        self.across, self.down = min(tile_size, width), min(tile_size, height)
        self.columns = _starts(width, self.across, stride)
        self.rows = _starts(height, self.down, stride)
        self.files = [Path(path).name]
        self._renewed: dict[FileStamp, FileStamp | None] = {}
        self.remark = self._remark_on_positions()

    @cached_property
    def stamp(self) -> FileStamp:
        """FileStamp: Of the whole raster, read once."""
        return FileStamp.of(self.raster.path)

    def window(self, position: int) -> Window:
        """Column, row, width and height of a window."""
        row, column = divmod(position, len(self.columns))
        return self.columns[column], self.rows[row], self.across, self.down

    def __len__(self) -> int:
        return len(self.columns) * len(self.rows)

    def _remark_on_positions(self) -> str:
        """How many windows have no position; all are counted if a corner or the middle has none."""
        across, count = len(self.columns), len(self)
        samples = {0, across - 1, count // 2, count - across, count - 1}
        if not any(map(self._why_nowhere, samples)):
            return ''
        reasons = Counter(filter(None, map(self._why_nowhere, range(count))))
        return (
            f'{self.path}: {reasons.total()} of {count} windows have no position: '
            f'{", ".join(reasons)}'
        )

    def _why_nowhere(self, position: int) -> str:
        try:
            self.raster.position(self.window(position), crossing=True)
        except ValueError as error:
            return str(error)
        return ''

    def id_of(self, position: int) -> str:
        """The name of the source, of the file, and the window."""
        return f'{self.name}/{self.files[0]}#{",".join(map(str, self.window(position)))}'

    def file_of(self, position: int) -> str:
        """The file."""
        return self.files[0]

    def attributes(self, position: int) -> dict[str, Any]:
        """Path, window and position of a window."""
        window = self.window(position)
        try:
            found = plain(self.raster.position(window, crossing=True))
        except ValueError:
            found = {}
        return dict(found, img_path=self.origin, window=list(window))

    def renewed(self, position: int, stamp: FileStamp) -> FileStamp | None:
        """The stamp of the raster, if its content is the same; windows share one."""
        if stamp not in self._renewed:
            self._renewed[stamp] = stamp.renewed(self.raster.path)
        return self._renewed[stamp]

    def encode(
        self, positions: Sequence[int], embedder: Embedder, skip_bad: bool
    ) -> Iterator[EncodedFiles]:
        """Read and encode windows."""
        windows = [self.window(position) for position in positions]
        yield from embedder.stream(
            RasterWindows(self.raster, windows, self.stamp, embedder.pipeline, skip_bad)
        )


def _starts(length: int, side: int, stride: int) -> list[int]:
    starts = list(range(0, length - side + 1, stride))
    return starts if starts[-1] == length - side else [*starts, length - side]
