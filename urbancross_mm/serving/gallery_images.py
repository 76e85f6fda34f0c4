"""Images of gallery items: whole files, or windows of rasters; never a path of a client."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from urbancross_mm.inference.hit_images import is_of_raster, open_window
from urbancross_mm.serving.limits import RefusedError
from urbancross_mm.utils.hashing import quick_stamp
from urbancross_mm.utils.images import open_image

THUMBNAIL_SIDE, FULL_SIDE = 256, 2048
MOST_PIXELS = 64_000_000  # of a window or a file that is shown
CACHE_BYTES = 64 << 20
Key = tuple[str, str, tuple[int, ...], int]


class GalleryImages:
    """Reads the image of an item, made small, and keeps what was read lately."""

    def __init__(self) -> None:
        self._cache: OrderedDict[Key, bytes] = OrderedDict()
        self._ranges: dict[tuple[str, str], tuple[float, float]] = {}
        self._lock = threading.Lock()

    def get(self, attributes: Mapping[str, Any], full: bool = False) -> bytes:
        """The image of an item as a JPEG.

        Args:
            attributes (Mapping): Of the item, with ``img_path`` and, of a raster, ``window``.
            full (bool): Up to 2,048 pixels a side, and not 256. Defaults to False.

        Returns:
            bytes: The JPEG.

        Raises:
            RefusedError: If there is no such file any more, or it cannot be read (404).
        """
        key = path, stamp, _, side = self.key(attributes, full)
        try:
            jpeg = self._find(key)
            if jpeg is None:
                if is_of_raster(attributes):
                    pixels = self._window(attributes, (path, stamp))
                else:
                    pixels = self._file(path, side)
                jpeg = _jpeg(pixels, side)
                self._keep(key, jpeg)
        except (ValueError, OSError, MemoryError) as error:
            raise RefusedError(
                404, f'the image {Path(path).name} cannot be read: {error}'
            ) from error
        return jpeg

    def key(self, attributes: Mapping[str, Any], full: bool = False) -> Key:
        """What the image of an item depends on.

        Args:
            attributes (Mapping): As of :meth:`get`.
            full (bool): As of :meth:`get`. Defaults to False.

        Returns:
            tuple: Path, size and time of the file, window, and side.

        Raises:
            RefusedError: If there is no such file any more (404).
        """
        path, window = attributes.get('img_path'), attributes.get('window')
        if not isinstance(path, str) or not path:
            raise RefusedError(404, 'the item has no image: its index names no file')
        stamp = quick_stamp(path)
        if not stamp:
            raise RefusedError(404, f'the image {Path(path).name} is no longer there')
        return path, stamp, tuple(window or ()), FULL_SIDE if full else THUMBNAIL_SIDE

    def _file(self, path: str, side: int) -> np.ndarray:
        with open_image(path, path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f'it has {image.width} x {image.height} pixels')
            image.draft('RGB', (side, side))
            image.thumbnail((side, side))
            return np.array(image.convert('RGB'))

    def _window(self, attributes: Mapping[str, Any], file: tuple[str, str]) -> np.ndarray:
        raster, window = open_window(attributes)
        if window[2] * window[3] > MOST_PIXELS:
            raise ValueError(f'its window has {window[2]} x {window[3]} pixels')
        bands = raster.color_bands
        if file not in self._ranges:
            self._ranges[file] = raster.value_range(bands)
        return raster.read(window, bands, self._ranges[file])[0]

    def _find(self, key: Key) -> bytes | None:
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
            return self._cache.get(key)

    def _keep(self, key: Key, jpeg: bytes) -> None:
        with self._lock:
            self._cache[key] = jpeg
            while sum(map(len, self._cache.values())) > CACHE_BYTES:
                self._cache.popitem(last=False)


def _jpeg(pixels: np.ndarray, side: int) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    out = io.BytesIO()
    image.save(out, 'JPEG', quality=88)
    return out.getvalue()
