"""The first stage: pictures out of a folder of tiles and rasters."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from PIL import Image

from urbancross_mm.curation.positions import (
    bounds_of_world_file,
    describe_bounds,
    tile_windows,
    world_file_of,
)
from urbancross_mm.curation.rasters import WGS84, Raster, is_geotiff, rasterio, to_degrees
from urbancross_mm.curation.records import DROPPED, Outcome, Picture
from urbancross_mm.curation.stage import PictureStage, Workplace
from urbancross_mm.registry import CURATION
from urbancross_mm.utils.files import atomic_write
from urbancross_mm.utils.images import read_image
from urbancross_mm.utils.paths import label_of
from urbancross_mm.utils.progress import map_threads

SUFFIXES = ('.jpg', '.jpeg', '.png', '.tif', '.tiff', '.bmp')


@CURATION.register_module()
class TileStage(PictureStage):
    """Takes plain pictures as they are and cuts GeoTIFFs; all of them stand in ``OUT/images``.

    A plain picture knows its place if a world file lies beside it. Plain pictures are linked, not
    copied, where the disk allows it.

    Args:
        size (int): Side of a tile that is cut, in pixels. Defaults to 512.
        stride (int, optional): Step between tiles. Defaults to None (``size``).
        min_valid (float): A tile of which less has data is dropped. Defaults to 0.5.
        min_side (int): A picture with a shorter side is dropped. Defaults to 16.
        bands (Sequence[int]): Red, green and blue of a raster, from 1; one band is grey. Defaults
            to (1, 2, 3).
        value_range (Sequence[float], optional): Values of a raster that become black and white.
            Defaults to None: 0 and 255 of 8 bits, else the 2 % and 98 % quantiles.
        crs (str): Of world files. Defaults to 'EPSG:4326', degrees.
        label (str, optional): Scene class of a plain picture: 'folder' takes its folder below
            ``--in``, 'name' what stands before the last ``_``. Defaults to 'folder'.

    Raises:
        ValueError: If an option is unknown or out of range.
    """

    name = 'tile'
    reads = ('source', 'stamp', 'window', 'same_as')

    def __init__(self, size: int = 512, stride: int | None = None, min_valid: float = 0.5,
                 min_side: int = 16, bands: Sequence[int] = (1, 2, 3),
                 value_range: Sequence[float] | None = None, crs: str = WGS84,
                 label: str | None = 'folder') -> None:
        super().__init__(batch_size=32)
        if size < 1 or (stride or size) < 1 or not 0 <= min_valid <= 1:
            raise ValueError('size and stride must be at least 1 and min_valid in [0, 1], got '
                             f'{size}, {stride} and {min_valid}')
        if len(bands) not in (1, 3) or min(bands) < 1:
            raise ValueError(f'bands are three numbers from 1, or one for grey, got {bands}')
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
        self._range = cache(lambda raster: raster.value_range(self.bands))

    def check(self, place: Workplace) -> None:
        """Look for pictures, and for rasterio where it will be needed."""
        files = picture_files(place.source)
        if not files:
            raise FileNotFoundError(f'no picture ({", ".join(SUFFIXES)}) in {place.source}')
        if self.crs != WGS84 or any(is_geotiff(place.source / name) for name in files):
            rasterio()

    def settings(self, place: Workplace) -> dict[str, Any]:
        """All options."""
        return dict(size=self.size, stride=self.stride, min_valid=self.min_valid,
                    min_side=self.min_side, bands=list(self.bands), crs=self.crs, label=self.label,
                    value_range=self.given_range and list(self.given_range))

    def discover(self, place: Workplace) -> list[Picture]:
        """List every picture that there will be; only headers are read.

        Args:
            place (Workplace): Where it runs.

        Returns:
            list[Picture]: By name, with the fields that this stage reads.
        """
        pictures = sorted((picture for name in picture_files(place.source)
                           for picture in self._pictures_of(name, place)),
                          key=lambda picture: picture.name)
        first: dict[str, str] = {}
        return [picture if (one := first.setdefault(_stem(picture.name), picture.name))
                == picture.name else picture.plus(dict(same_as=one)) for picture in pictures]

    def process(self, pictures: Sequence[Picture], place: Workplace) -> list[Outcome]:
        """Put the pictures into ``OUT/images``."""
        return map_threads(partial(self._make, place=place), pictures, place.workers)

    def is_whole(self, picture: Picture, outcome: Outcome, place: Workplace) -> bool:
        """Whether the file is there."""
        return outcome.status == DROPPED or place.image_path(picture).is_file()

    def _pictures_of(self, name: str, place: Workplace) -> Iterator[Picture]:
        path = place.source / name
        state = path.stat()
        fields = dict(source=name, stamp=f'{state.st_size}-{state.st_mtime_ns}')
        if not is_geotiff(path):
            yield Picture(name, fields)
            return
        try:
            raster = self._raster(path)
        except ValueError:
            yield Picture(name, fields)  # processing it will say what is wrong
            return
        stem = _stem(name)
        for window in tile_windows(raster.width, raster.height, self.size, self.stride):
            column, row, *_ = window
            yield Picture(f'{stem}/r{row:06d}_c{column:06d}.png',
                          dict(fields, window=list(window)))

    def _make(self, picture: Picture, place: Workplace) -> Outcome:
        if 'same_as' in picture.fields:
            return Outcome(status=DROPPED, reason=f'same name as {picture.fields["same_as"]}')
        return (self._cut if picture.fields.get('window') else self._take)(picture, place)

    def _take(self, picture: Picture, place: Workplace) -> Outcome:
        """A plain picture: looked at to its last pixel, and linked."""
        path = place.source / picture.name
        try:
            _, (height, width) = read_image(str(path))
        except ValueError as error:
            return Outcome(status=DROPPED, reason=_without(str(error), place.source))
        if min(height, width) < self.min_side:
            return Outcome(status=DROPPED, reason=f'{width} x {height} px, below {self.min_side}')
        target = place.image_path(picture)
        _link(path, target)
        fields = dict(width=width, height=height, sha=_hash(path.read_bytes()),
                      label=self._label(picture))
        remark = ''
        world = world_file_of(path)
        if world is not None:
            try:
                own = bounds_of_world_file(world.read_text(), width, height)
                fields.update(describe_bounds(to_degrees(own, self.crs)))
            except ValueError as error:
                remark = f'no position: {error}'
        return Outcome(fields, reason=remark)

    def _label(self, picture: Picture) -> str | None:
        if self.label is None or (self.label == 'folder' and '/' not in picture.name):
            return None
        return label_of(picture.name if self.label == 'folder' else Path(picture.name).name)

    def _cut(self, picture: Picture, place: Workplace) -> Outcome:
        """A window of a raster."""
        raster = self._raster(place.source / picture.fields['source'])
        window = tuple(picture.fields['window'])
        try:
            pixels, valid = raster.read(window, self.bands,
                                        self.given_range or self._range(raster))
        except ValueError as error:
            return Outcome(status=DROPPED, reason=_without(str(error), place.source))
        if valid < self.min_valid:
            return Outcome(status=DROPPED, reason=f'{1 - valid:.0%} without data')
        if min(pixels.shape[:2]) < self.min_side:
            return Outcome(status=DROPPED, reason=f'shorter than {self.min_side} px')
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, 'png')
        atomic_write(place.image_path(picture), buffer.getvalue())
        fields = dict(width=window[2], height=window[3], sha=_hash(buffer.getvalue()), label=None)
        if raster.crs is None:
            return Outcome(fields, reason='no position: the raster names no CRS')
        return Outcome({**fields, **describe_bounds(to_degrees(raster.bounds(window), raster.crs))})


def picture_files(folder: Path) -> list[str]:
    """Every picture below a folder.

    Args:
        folder (Path): The folder.

    Returns:
        list[str]: Relative paths, sorted; hidden files are left out.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f'no folder {folder}')
    paths = (path.relative_to(folder) for path in folder.rglob('*')
             if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path.as_posix() for path in paths
                  if not any(part.startswith('.') for part in path.parts))


def _stem(name: str) -> str:
    """What the picture and its segments have in common."""
    return Path(name).with_suffix('').as_posix()


def _link(path: Path, target: Path) -> None:
    """A hard link costs no space; a copy where there can be none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(path.resolve(), target)
    except OSError:
        temporary = target.with_name(f'.{target.name}.tmp')
        shutil.copyfile(path, temporary)
        os.replace(temporary, target)


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _without(sentence: str, folder: Path) -> str:
    """A reason shall not depend on where the folder lies."""
    return sentence.replace(f'{folder}/', '')
