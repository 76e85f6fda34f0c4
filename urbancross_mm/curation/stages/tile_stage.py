"""The first stage: images out of a folder of tiles and rasters."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from urbancross_mm.curation.core.records import DROPPED, ImageRecord, Outcome
from urbancross_mm.curation.core.stage import ImageStage, Workplace
from urbancross_mm.curation.geo.georeference import WGS84, check_crs, place_on_globe, rasterio
from urbancross_mm.curation.geo.positions import (
    bounds_of_world_file,
    covered_pixels,
    tile_windows,
    world_file_of,
)
from urbancross_mm.curation.geo.raster_files import LeadsElsewhereError
from urbancross_mm.curation.geo.rasters import Raster
from urbancross_mm.curation.geo.tiff_header import is_geotiff
from urbancross_mm.curation.geo.tile_files import content_hash, decode, is_blank, link_file
from urbancross_mm.curation.geo.tile_sources import (
    passed_over,
    refuse_own_images,
    settle_names,
    source_of,
    stem_of,
    tile_names,
)
from urbancross_mm.registry import CURATION
from urbancross_mm.utils.files import atomic_write
from urbancross_mm.utils.image_files import IMAGE_SUFFIXES
from urbancross_mm.utils.paths import label_of
from urbancross_mm.utils.progress import map_threads

RGB = (1, 2, 3)


@CURATION.register_module()
class TileStage(ImageStage):
    """Takes plain images as they are and cuts GeoTIFFs; all of them stand in ``OUT/images``.

    A plain image knows its place if a world file lies beside it. Plain images are linked, not
    copied, where the disk allows it.

    Args:
        size (int): Side of a tile that is cut, in pixels. Defaults to 512.
        stride (int, optional): Step between tiles. Defaults to None (``size``).
        min_valid (float): A tile of which less has data is dropped. Defaults to 0.5.
        min_side (int): An image with a shorter side is dropped. Defaults to 16.
        bands (Sequence[int]): Red, green and blue of a raster, from 1; one band is gray. Defaults
            to (1, 2, 3): the bands that the raster names red, green and blue, else its first three
            without alpha, else its first. A palette becomes the colors that it stands for.
        value_range (Sequence[float], optional): Values of a raster that become black and white.
            Defaults to None: 0 and 255 of 8 bits, else the 2 % and 98 % quantiles.
        crs (str): Of world files. Defaults to 'EPSG:4326', degrees.
        label (str, optional): Scene class of a plain image: 'folder' takes its folder below
            ``--in``, 'name' what stands before the last ``_``. Defaults to 'folder'.

    Raises:
        ValueError: If an option is unknown or out of range.
    """

    name = 'tile'
    version = 3
    reads = ('source', 'stamp', 'world', 'window', 'refused', 'same_as')

    def __init__(
        self,
        size: int = 512,
        stride: int | None = None,
        min_valid: float = 0.5,
        min_side: int = 16,
        bands: Sequence[int] = RGB,
        value_range: Sequence[float] | None = None,
        crs: str = WGS84,
        label: str | None = 'folder',
    ) -> None:
        super().__init__(batch_size=32)
        if size < 1 or (stride or size) < 1 or not 0 <= min_valid <= 1:
            raise ValueError(
                'size and stride must be at least 1 and min_valid in [0, 1], got '
                f'{size}, {stride} and {min_valid}'
            )
        if len(bands) not in (1, 3) or min(bands) < 1:
            raise ValueError(f'bands are three numbers from 1, or one for gray, got {bands}')
        if value_range is not None and not value_range[0] < value_range[1]:
            raise ValueError(f'value_range is the value of black, then of white, got {value_range}')
        if label not in (None, 'folder', 'name'):
            raise ValueError(f"label must be None, 'folder' or 'name', got {label!r}")
        self.label = label
        self.size, self.stride = size, stride or size
        self.min_valid, self.min_side = min_valid, min_side
        self.bands, self.crs = tuple(bands), crs
        self.given_range = None if value_range is None else tuple(value_range)
        # One look at each raster, whatever the number of its tiles.
        self._raster = cache(Raster.open)
        self._range = cache(lambda raster: raster.value_range(self._bands(raster)))

    def check(self, place: Workplace) -> None:
        """Look for images, for rasterio where it will be needed, and at the CRS."""
        files = tile_names(place.source)
        if not files:
            raise FileNotFoundError(f'no image ({", ".join(IMAGE_SUFFIXES)}) in {place.source}')
        refuse_own_images(place.source, place.out)
        check_crs(self.crs)
        rasters = [name for name in files if is_geotiff(place.source / name)]
        if not rasters:
            return
        rasterio()
        images = (place.out / 'images').resolve()
        if place.source.resolve() in (images, *images.parents):
            raise ValueError(
                f'the tiles of {rasters[0]} would lie among the files that they are '
                f'cut from: {images} must not be below {place.source}'
            )

    def settings(self, place: Workplace) -> dict[str, Any]:
        """All options."""
        return dict(
            size=self.size,
            stride=self.stride,
            min_valid=self.min_valid,
            min_side=self.min_side,
            bands=list(self.bands),
            crs=self.crs,
            label=self.label,
            value_range=self.given_range and list(self.given_range),
        )

    def discover(self, place: Workplace) -> list[ImageRecord]:
        """List every image that there will be; only headers are read.

        Args:
            place (Workplace): Where it runs.

        Returns:
            list[ImageRecord]: By name, with the fields that this stage reads.
        """
        singles, rasters = [], []
        for name in tile_names(place.source):
            source = source_of(place.source, name)
            tiles = [] if 'refused' in source.fields else self._tiles_of(source, place)
            if tiles:
                rasters.append((source, tiles))
            else:
                singles.append(source)
        return settle_names(singles, rasters)

    def process(self, images: Sequence[ImageRecord], place: Workplace) -> list[Outcome]:
        """Put the images into ``OUT/images``."""
        return map_threads(partial(self._make, place=place), images, place.workers)

    def is_whole(self, image: ImageRecord, outcome: Outcome, place: Workplace) -> bool:
        """Whether the file is there, of the length that it had."""
        path = place.image_path(image)
        return outcome.status == DROPPED or (
            path.is_file() and path.stat().st_size == outcome.fields.get('bytes')
        )

    def summary(self, images: Sequence[ImageRecord], place: Workplace) -> list[str]:
        """What of the rasters is in no tile, and which files are no images."""
        lines = [remark] if (remark := passed_over(place.source)) else []
        rasters = [
            self._raster(place.source / name)
            for name in sorted(
                {image.fields['source'] for image in images if image.fields.get('window')}
            )
        ]
        total = sum(raster.width * raster.height for raster in rasters)
        covered = sum(
            covered_pixels(raster.width, raster.height, self.size, self.stride)
            for raster in rasters
        )
        if covered < total:
            lines.append(
                f'{1 - covered / total:.1%} of the rasters is not covered by whole tiles; '
                'a smaller size or stride covers more'
            )
        return lines

    def _tiles_of(self, source: ImageRecord, place: Workplace) -> list[ImageRecord]:
        """None of a plain image."""
        path = place.source / source.name
        if not is_geotiff(path):
            return []
        try:
            raster = self._raster(path)
            refused = raster.why_absurd(self.size, self.stride)
        except LeadsElsewhereError as error:
            return [source.plus(dict(refused=str(error)))]
        except (OSError, ValueError):
            return []  # processing it will say what is wrong
        if refused:
            return [source.plus(dict(refused=refused))]
        stem = stem_of(source.name)
        return [
            ImageRecord(
                f'{stem}/r{window[1]:06d}_c{window[0]:06d}.png',
                {**source.fields, 'window': list(window), 'world': None},
            )
            for window in tile_windows(raster.width, raster.height, self.size, self.stride)
        ]

    def _make(self, image: ImageRecord, place: Workplace) -> Outcome:
        if 'refused' in image.fields:
            other = image.fields.get('same_as')
            return Outcome(dict(same_as=other) if other else {}, DROPPED, image.fields['refused'])
        return (self._cut if image.fields.get('window') else self._take)(image, place)

    def _take(self, image: ImageRecord, place: Workplace) -> Outcome:
        """A plain image: looked at to its last pixel, and linked."""
        path = place.source / image.name
        try:
            pixels = decode(path)
        except ValueError as error:
            return Outcome(status=DROPPED, reason=str(error))
        if reason := self._why_not(pixels, is_blank(pixels)):
            return Outcome(status=DROPPED, reason=reason)
        height, width = pixels.shape[:2]
        content = path.read_bytes()
        fields = dict(
            width=width,
            height=height,
            sha=content_hash(content),
            bytes=len(content),
            label=self._label(image),
        )
        position, remark = self._place_beside(path, width, height)
        link_file(path, place.image_path(image))
        return Outcome({**fields, **position}, reason=remark)

    def _place_beside(self, path: Path, width: int, height: int) -> tuple[dict[str, Any], str]:
        """Position by the world file, and what is wrong with it."""
        world = world_file_of(path)
        if world is None:
            return {}, ''
        text = world.read_text(encoding='utf-8', errors='replace')
        try:
            return place_on_globe(bounds_of_world_file(text, width, height), self.crs), ''
        except ValueError as error:
            return {}, f'no position: {error}'

    def _label(self, image: ImageRecord) -> str | None:
        if self.label is None or (self.label == 'folder' and '/' not in image.name):
            return None
        return label_of(image.name if self.label == 'folder' else Path(image.name).name)

    def _cut(self, image: ImageRecord, place: Workplace) -> Outcome:
        """A window of a raster."""
        raster = self._raster(place.source / image.fields['source'])
        window = tuple(image.fields['window'])
        try:
            span = self.given_range or self._range(raster)
            pixels, valid, blank = raster.read(window, self._bands(raster), span)
        except ValueError as error:
            return Outcome(status=DROPPED, reason=str(error))
        if valid < self.min_valid:
            return Outcome(status=DROPPED, reason=f'less than {self.min_valid:.0%} has data')
        if reason := self._why_not(pixels, blank):
            return Outcome(status=DROPPED, reason=reason)
        try:
            position, remark = raster.position(window), ''
        except ValueError as error:
            position, remark = {}, f'no position: {error}'
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, 'png')
        content = buffer.getvalue()
        atomic_write(place.image_path(image), content)
        return Outcome(
            dict(
                width=window[2],
                height=window[3],
                label=None,
                bytes=len(content),
                sha=content_hash(content),
                **position,
            ),
            reason=remark,
        )

    def _why_not(self, pixels: np.ndarray, blank: bool) -> str:
        """Why an image is dropped, if it is."""
        if min(pixels.shape[:2]) < self.min_side:
            return f'shorter than {self.min_side} px'
        return 'one color only' if blank else ''

    def _bands(self, raster: Raster) -> tuple[int, ...]:
        return self.bands if self.bands != RGB else raster.color_bands
