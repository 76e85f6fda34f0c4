"""The first stage: images from a folder of tiles and rasters."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from urbancross_mm.curation.core.records import DROPPED, ImageRecord, Outcome
from urbancross_mm.curation.core.stage import ImageStage, Workspace
from urbancross_mm.curation.geo.tile_files import (
    content_hash,
    decode,
    is_blank,
    link_file,
    passed_over,
    refuse_own_images,
    refuse_tiles_among,
    settle_names,
    source_of,
    stem_of,
    tile_names,
)
from urbancross_mm.geo.georeference import (
    WGS84,
    check_crs,
    position_beside,
    rasterio,
)
from urbancross_mm.geo.raster_files import LeadsElsewhereError, is_geotiff
from urbancross_mm.geo.rasters import Raster, share_not_covered, tile_windows
from urbancross_mm.registry import CURATION
from urbancross_mm.utils.files import atomic_write
from urbancross_mm.utils.image_files import IMAGE_SUFFIXES
from urbancross_mm.utils.paths import label_of
from urbancross_mm.utils.progress import map_threads

RGB = (1, 2, 3)


@CURATION.register_module()
class TileStage(ImageStage):
    """Puts plain images and tiles of GeoTIFFs into ``OUT/images``.

    Plain images are linked where the disk allows it, else copied. They have a position if a world
    file lies beside them.

    Args:
        size (int): Side of the tiles of a raster in pixels. Defaults to 512.
        stride (int, optional): Step between tiles in pixels. Defaults to None: ``size``.
        min_valid (float): Tiles with a smaller share of data are dropped. Defaults to 0.5.
        min_side (int): Images with a shorter side are dropped. Defaults to 16.
        bands (Sequence[int]): Bands of a raster for red, green and blue, from 1; a single band is
            gray. Defaults to (1, 2, 3): the bands that the raster names red, green and blue, else
            its first three without alpha, else its first. A palette gives its colors.
        value_range (Sequence[float], optional): Raster values of black and white. Defaults to
            None: 0 and 255 for 8 bits, else the 2 % and 98 % quantiles.
        crs (str): CRS of world files. Defaults to 'EPSG:4326', degrees.
        label (str, optional): Source of the scene class of a plain image: 'folder' is its folder
            below ``--in``, 'name' the part of its name before the last ``_``. Defaults to
            'folder'.

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
            raise ValueError(f'bands must be three numbers from 1, or one for gray, got {bands}')
        if value_range is not None and not value_range[0] < value_range[1]:
            raise ValueError(
                f'value_range must be the values of black and white, got {value_range}'
            )
        if label not in (None, 'folder', 'name'):
            raise ValueError(f"label must be None, 'folder' or 'name', got {label!r}")
        self.label = label
        self.size, self.stride = size, stride or size
        self.min_valid, self.min_side = min_valid, min_side
        self.bands, self.crs = tuple(bands), crs
        self.given_range = None if value_range is None else tuple(value_range)
        # Each raster is looked at once, however many tiles it has.
        self._raster = cache(Raster.open)
        self._range = cache(lambda raster: raster.value_range(self._bands(raster)))

    def check(self, workspace: Workspace) -> None:
        """Look for images, check the CRS, and look for rasterio if there are rasters."""
        files = tile_names(workspace.source)
        if not files:
            raise FileNotFoundError(f'no image ({", ".join(IMAGE_SUFFIXES)}) in {workspace.source}')
        refuse_own_images(workspace.source, workspace.out)
        check_crs(self.crs)
        rasters = [name for name in files if is_geotiff(workspace.source / name)]
        if not rasters:
            return
        rasterio()
        refuse_tiles_among(workspace.source, workspace.out / 'images', rasters[0])

    def settings(self, workspace: Workspace) -> dict[str, Any]:
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

    def discover(self, workspace: Workspace) -> list[ImageRecord]:
        """List all images. Only headers are read."""
        singles, rasters = [], []
        for name in tile_names(workspace.source):
            source = source_of(workspace.source, name)
            tiles = [] if 'refused' in source.fields else self._tiles_of(source, workspace)
            if tiles:
                rasters.append((source, tiles))
            else:
                singles.append(source)
        return settle_names(singles, rasters)

    def process(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[Outcome]:
        """Write the images to ``OUT/images``."""
        return map_threads(partial(self._make, workspace=workspace), images, workspace.workers)

    def is_whole(self, image: ImageRecord, outcome: Outcome, workspace: Workspace) -> bool:
        """Whether the file is there and has its recorded size."""
        path = workspace.image_path(image)
        return outcome.status == DROPPED or (
            path.is_file() and path.stat().st_size == outcome.fields.get('bytes')
        )

    def summary(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[str]:
        """The part of the rasters that is in no tile, and files that were ignored."""
        lines = [remark] if (remark := passed_over(workspace.source)) else []
        rasters = [
            self._raster(workspace.source / name)
            for name in sorted(
                {image.fields['source'] for image in images if image.fields.get('window')}
            )
        ]
        if share := share_not_covered(rasters, self.size, self.stride):
            lines.append(
                f'{share:.1%} of the rasters is not covered by whole tiles; '
                'a smaller size or stride covers more'
            )
        return lines

    def _tiles_of(self, source: ImageRecord, workspace: Workspace) -> list[ImageRecord]:
        """Tiles of a raster; empty for a plain image."""
        path = workspace.source / source.name
        if not is_geotiff(path):
            return []
        try:
            raster = self._raster(path)
            refused = raster.why_absurd(self.size, self.stride)
        except LeadsElsewhereError as error:
            return [source.plus(dict(refused=str(error)))]
        except (OSError, ValueError):
            return []  # it counts as a plain image, and decoding it will say what is wrong
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

    def _make(self, image: ImageRecord, workspace: Workspace) -> Outcome:
        if 'refused' in image.fields:
            other = image.fields.get('same_as')
            return Outcome(dict(same_as=other) if other else {}, DROPPED, image.fields['refused'])
        return (self._cut if image.fields.get('window') else self._take)(image, workspace)

    def _take(self, image: ImageRecord, workspace: Workspace) -> Outcome:
        """Check a plain image, and link it."""
        path = workspace.source / image.name
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
        position, remark = position_beside(path, width, height, self.crs)
        link_file(path, workspace.image_path(image))
        return Outcome({**fields, **position}, reason=remark)

    def _label(self, image: ImageRecord) -> str | None:
        if self.label is None or (self.label == 'folder' and '/' not in image.name):
            return None
        return label_of(image.name if self.label == 'folder' else Path(image.name).name)

    def _cut(self, image: ImageRecord, workspace: Workspace) -> Outcome:
        """Write a window of a raster."""
        raster = self._raster(workspace.source / image.fields['source'])
        window = tuple(image.fields['window'])
        try:
            black, white = self.given_range or self._range(raster)
            pixels, valid, blank = raster.read(window, self._bands(raster), (black, white))
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
        atomic_write(workspace.image_path(image), content)
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
        """Why an image is dropped; empty if it is kept."""
        if min(pixels.shape[:2]) < self.min_side:
            return f'shorter than {self.min_side} px'
        return 'one color only' if blank else ''

    def _bands(self, raster: Raster) -> tuple[int, ...]:
        return self.bands if self.bands != RGB else raster.color_bands
