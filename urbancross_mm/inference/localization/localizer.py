"""Where in a raster a text, or an image, is."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from urbancross_mm.geo.raster_reading import bounded_cache, cells_with_data
from urbancross_mm.geo.rasters import Raster
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.localization.coarse_to_fine import CoarseToFineScan
from urbancross_mm.inference.localization.dense_scan import DenseScan
from urbancross_mm.inference.localization.heat_map import HeatMap
from urbancross_mm.inference.localization.map_features import MapPlace
from urbancross_mm.inference.localization.window_scan import View, WindowScan
from urbancross_mm.inference.localization.window_store import WindowStore, folder_of
from urbancross_mm.inference.pair_scores import check_comparable
from urbancross_mm.inference.queries import encode_query
from urbancross_mm.utils.files import file_lock
from urbancross_mm.utils.hashing import FileStamp, quick_stamp

SIDES = (256, 512, 768)
MODES = {'windows': WindowScan, 'coarse-to-fine': CoarseToFineScan, 'dense': DenseScan}
CELLS = 8  # of the map, along the smallest window
_TIFF = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')  # how a TIFF, or a BigTIFF, begins


class SemanticLocalizer:
    """Encodes a raster once and answers any number of queries with a map of scores.

    Args:
        embedder (Embedder): The model.
        progress (bool): Show a progress bar while windows are encoded. Defaults to True.

    Examples:
        >>> localizer = SemanticLocalizer(Embedder.from_config('config.py', 'best.pth'))
        >>> localizer.set_image('city.tif')
        >>> heat = localizer.locate(text='a harbor with boats')
        >>> heat.write('harbor.tif')
        >>> heat.peaks(5)

    Raises:
        ValueError: If the vectors of the model cannot be compared.
    """

    def __init__(self, embedder: Embedder, progress: bool = True) -> None:
        check_comparable(embedder.model, 'localization')
        self.embedder = embedder
        self.progress = progress
        self.scan: WindowScan | None = None

    def set_image(
        self,
        path: str | Path,
        scales: Sequence[int] = SIDES,
        mode: str = 'windows',
        bands: Sequence[int] | None = None,
        cache: str | Path | None = None,
    ) -> None:
        """Encode a raster, or what of it is not yet kept in the folder beside it.

        Args:
            path (str | Path): A GeoTIFF.
            scales (Sequence[int]): Sides of the windows, in pixels. A side that does not fit is
                made smaller. Defaults to (256, 512, 768).
            mode (str): ``'windows'`` encodes all windows, ``'coarse-to-fine'`` the large ones, and
                for each query the small ones in the best of these, ``'dense'`` every position of a
                feature map. Defaults to 'windows'.
            bands (Sequence[int], optional): Bands to show as red, green and blue, from 1. Defaults
                to None: what the file says.
            cache (str | Path, optional): Folder in which to keep the embeddings. Defaults to
                None: that of the raster.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no raster, or an option does not fit.
            OSError: If the embeddings cannot be kept.
        """
        if mode not in MODES:
            raise ValueError(f'mode must be one of {list(MODES)}, got {mode!r}')
        if not Path(path).is_file():
            raise FileNotFoundError(f'no raster at {str(path)!r}')
        try:
            self._encode(Path(path), mode, scales, bands, cache)
        except ValueError as error:  # the errors of rasters do not name them
            raise ValueError(f'{path}: {error}') from error

    def summary(self) -> str:
        """What is set, in one or two sentences.

        Returns:
            str: Windows, those that had to be encoded, the size of a cell, and what the positions
            are where the raster has none.

        Raises:
            ValueError: If no raster is set.
        """
        scan = self._checked_scan()
        raster = scan.view.raster
        sides = ', '.join(f'{lattice.side:g}' for lattice in scan.lattices)
        text = (
            f'{raster.path.name}: {raster.width} x {raster.height} pixels, {scan.count} windows of '
            f'{sides} pixels, {scan.encoded} encoded now; a cell of the map is {self.cell} pixels'
        )
        if MapPlace.of(raster, self.cell).crs is None:
            text += '. It names no position on the globe: places are its columns and rows'
        return text

    def _encode(
        self,
        path: Path,
        mode: str,
        scales: Sequence[int],
        bands: Sequence[int] | None,
        cache: str | Path | None,
    ) -> None:
        before = quick_stamp(path)
        view = _view_of(path, scales, bands)
        scan = MODES[mode](self.embedder, view, tuple(scales), self.progress)
        settings = dict(
            fingerprint=self.embedder.fingerprint, bands=list(view.bands), **scan.settings
        )
        folder = folder_of(path, settings, cache)
        with file_lock(folder), bounded_cache():
            stamp = FileStamp.of(path)
            if quick_stamp(path) != before:
                raise ValueError('the raster changed while it was read: try again')
            width = self.embedder.model.embed_dim
            store = WindowStore(folder, settings, stamp, scan.count, width)
            if store.dropped:
                print_log(f'{path} has changed: it is encoded again', 'current', logging.WARNING)
            with store.reading(path):
                scan.prepare(store)
                cell = max(1, scan.smallest // CELLS)
                data = cells_with_data(view.raster, view.bands, view.value_range, cell)
        self.scan, self.store, self.cell, self.data = scan, store, cell, data

    def locate(
        self,
        text: str | None = None,
        image: str | Path | np.ndarray | None = None,
        vector: np.ndarray | None = None,
    ) -> HeatMap:
        """Score the raster by one query.

        Args:
            text (str, optional): A text. Defaults to None.
            image (str | Path | np.ndarray, optional): An image file, or uint8 RGB. Defaults to
                None.
            vector (np.ndarray, optional): An embedding of the model, ``(D,)``. Defaults to None.

        Returns:
            HeatMap: The scores.

        Raises:
            ValueError: If not exactly one query is given, it does not fit the model, no raster is
                set, or more of the raster must be encoded and it has changed.
        """
        scan = self._checked_scan()
        query = self._vector(text, image, vector)
        try:
            levels = scan.levels(query, self.store)
        except ValueError as error:  # the errors of rasters do not name them
            raise ValueError(f'{scan.view.raster.path}: {error}') from error
        return HeatMap(scan.view, self.cell, levels, self.data)

    def _checked_scan(self) -> WindowScan:
        if self.scan is None:
            raise ValueError('no raster is set: call set_image first')
        return self.scan

    def _vector(
        self,
        text: str | None,
        image: str | Path | np.ndarray | None,
        vector: np.ndarray | None,
    ) -> np.ndarray:
        if sum(query is not None for query in (text, image, vector)) != 1:
            raise ValueError('give exactly one of a text, an image and a vector')
        if vector is None:
            if isinstance(image, np.ndarray):
                return self.embedder.encode_images([image])[0].numpy()
            return encode_query(self.embedder, text, image, None)[0].numpy()
        vector = np.asarray(vector, dtype=np.float32)
        width = self.embedder.model.embed_dim
        if vector.shape != (width,) or not np.isfinite(vector).all():
            raise ValueError(
                f'the vector of a query must have {width} finite values, got shape {vector.shape}'
            )
        return vector


def _view_of(path: Path, scales: Sequence[int], bands: Sequence[int] | None) -> View:
    """Check a raster and how it is to be seen."""
    with open(path, 'rb') as file:
        if file.read(4) not in _TIFF:
            raise ValueError('it is no TIFF: convert it, for instance by gdal_translate')
    raster = Raster.open(path)
    # Of the smallest windows, which are the most.
    side = min([*scales, raster.width, raster.height])
    if absurd := raster.why_absurd(side, max(1, side // 2)):
        raise ValueError(absurd)
    chosen = tuple(bands or raster.color_bands)
    if len(chosen) not in (1, 3) or min(chosen) < 1:
        raise ValueError(f'bands must be one or three numbers from 1, got {list(chosen)}')
    return View(raster, chosen, raster.value_range(chosen))
