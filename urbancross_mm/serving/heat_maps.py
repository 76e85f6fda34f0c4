"""Heat maps of rasters: where in one of them a query is."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.localization import SemanticLocalizer
from urbancross_mm.serving.limits import RefusedError
from urbancross_mm.serving.open_raster import OpenRaster, empty_tile
from urbancross_mm.serving.raster_tiles import RasterTiles
from urbancross_mm.serving.served_model import ServedModel
from urbancross_mm.serving.worker_pool import Stop
from urbancross_mm.utils.error_sentence import sentence_of

MOST_MAPS, PEAKS = 32, 5
# What is below the middle of all scores is not worth a color.
LOW_QUANTILE = 0.5
# From violet by orange to light yellow; lightness grows with the score, as does the opacity.
RAMP = ((70, 20, 110, 0), (150, 35, 105, 110), (225, 85, 55, 190), (250, 165, 30, 225),
        (252, 250, 190, 245))  # fmt: skip


class StoppableEmbedder:
    """An embedder that stops between two batches once nobody waits for them.

    Args:
        embedder (Embedder): Encodes.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.stop = Stop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def encode_images(self, *args: Any, **options: Any) -> Any:
        """See :meth:`Embedder.encode_images`."""
        self.stop.check()
        return self._embedder.encode_images(*args, **options)


@dataclass
class ShownMap:
    """A heat map that is served as tiles.

    Attributes:
        file (OpenRaster): The scores.
        peaks (list[tuple]): Longitude, latitude and score of the best positions.
        value_range (tuple): Scores of the faintest and of the strongest color.
    """

    file: OpenRaster
    peaks: list[tuple[float, float, float]]
    value_range: tuple[float, float]

    @property
    def key(self) -> tuple[object, ...]:
        """tuple: What its tiles depend on; its file is named by that."""
        return (self.file.path.name,)

    def close(self) -> None:
        """Close and delete the file."""
        self.file.close()
        self.file.path.unlink(missing_ok=True)

    def tile(self, z: int, x: int, y: int) -> bytes:
        """A tile of the web map as a PNG; see :meth:`RasterTiles.tile`."""
        image = self.file.read(z, x, y, (1,), 'bilinear')
        if image is None:
            return empty_tile()
        image.rescale(in_range=[self.value_range])
        return image.render(img_format='PNG', colormap=colors())


class HeatMaps:
    """Makes heat maps and keeps the last ones.

    A raster is encoded the first time it is asked of; its embeddings are kept beside it. Work on
    heat maps is done by one thread.

    Args:
        options (Mapping): Of :meth:`SemanticLocalizer.set_image`, such as ``scales``. Defaults to
            none.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self._options = dict(options or {})
        # A map may just be written where the server ends.
        self._folder = tempfile.TemporaryDirectory(
            prefix='urbancross-heat-', ignore_cleanup_errors=True
        )
        self._maps: OrderedDict[str, ShownMap] = OrderedDict()
        self._localizers: dict[tuple[str, str], tuple[str, SemanticLocalizer]] = {}
        self._lock = threading.Lock()

    def make(
        self, model: ServedModel, raster: RasterTiles, vector: np.ndarray, stop: Stop
    ) -> tuple[str, ShownMap]:
        """Find a query in a raster.

        Args:
            model (ServedModel): Encodes the raster.
            raster (RasterTiles): Where to look.
            vector (np.ndarray): The query, ``(D,)``.
            stop (Stop): Checked between the batches of windows.

        Returns:
            tuple[str, ShownMap]: Id and map.

        Raises:
            RefusedError: If the raster cannot be searched (400), or shown any more (404).
            StoppedError: If nobody waits any more.
        """
        stamp = raster.view().stamp
        made_of = (model.search.embedder.fingerprint, raster.path, stamp, raster.bands)
        digest = hashlib.sha256(repr((made_of, self._options)).encode() + vector.tobytes())
        name = digest.hexdigest()[:32]
        with self._lock:
            if name in self._maps:
                self._maps.move_to_end(name)
                return name, self._maps[name]
        path = Path(self._folder.name) / f'{name}.tif'
        try:
            shown = self._shown(self._localizer(model, raster, stamp, stop), vector, path)
        except (ValueError, OSError) as error:
            path.unlink(missing_ok=True)
            raise RefusedError(400, sentence_of(error)) from error
        with self._lock:
            self._maps[name] = shown
            while len(self._maps) > MOST_MAPS:
                self._maps.popitem(last=False)[1].close()
        return name, shown

    def get(self, name: str) -> ShownMap:
        """A heat map by id.

        Args:
            name (str): Its id.

        Returns:
            ShownMap: The map.

        Raises:
            RefusedError: If it is not kept, or no longer (404).
        """
        with self._lock:
            if name in self._maps:
                return self._maps[name]
        raise RefusedError(404, f'the heat map {name[:40]!r} is not kept: ask for it again')

    def close(self) -> None:
        """Close and delete the maps."""
        for shown in self._maps.values():
            shown.close()
        self._folder.cleanup()

    def _localizer(
        self, model: ServedModel, raster: RasterTiles, stamp: str, stop: Stop
    ) -> SemanticLocalizer:
        """That of the raster as its file is now."""
        key = (model.name, raster.name)
        known, localizer = self._localizers.get(key, ('', None))
        if localizer is None or known != stamp:
            localizer = SemanticLocalizer(StoppableEmbedder(model.search.embedder))  # type: ignore[arg-type]
            localizer.embedder.stop = stop  # type: ignore[attr-defined]
            localizer.set_image(raster.path, bands=raster.bands, **self._options)
            self._localizers[key] = (stamp, localizer)
        # From coarse to fine, a query encodes windows too.
        localizer.embedder.stop = stop  # type: ignore[attr-defined]
        return localizer

    def _shown(self, localizer: SemanticLocalizer, vector: np.ndarray, path: Path) -> ShownMap:
        heat = localizer.locate(vector=vector)
        seen = heat.values[np.isfinite(heat.values)]
        if not seen.size:
            raise ValueError('the raster has no data to search in')
        low, high = float(np.quantile(seen, LOW_QUANTILE)), float(seen.max())
        heat.write(path)
        peaks = [
            (*feature['geometry']['coordinates'][:2], feature['properties']['score'])
            for feature in heat.peaks(PEAKS)['features']
        ]
        return ShownMap(OpenRaster(path), peaks, (low, max(high, low + 1e-6)))


def colors() -> dict[int, tuple[int, int, int, int]]:
    """Colors of 256 steps of a score.

    Returns:
        dict[int, tuple]: Red, green, blue and alpha by step.
    """
    steps = np.linspace(0, len(RAMP) - 1, 256)
    table = np.stack([np.interp(steps, range(len(RAMP)), channel) for channel in zip(*RAMP)], 1)
    return {step: tuple(map(int, row)) for step, row in enumerate(table.round())}  # type: ignore[misc]
