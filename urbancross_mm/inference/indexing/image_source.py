"""Image files as the source of an index: a folder of tiles, or what an annotation file lists."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from urbancross_mm.geo.georeference import position_beside
from urbancross_mm.geo.positions import world_file_of
from urbancross_mm.geo.raster_files import TIFF_SUFFIXES, is_geotiff
from urbancross_mm.geo.rasters import Raster
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.image_files import EncodedFiles, ImageFiles, find_images, load_image
from urbancross_mm.inference.indexing.base_source import RESERVED, BaseSource, plain
from urbancross_mm.structures.annotation_schema import FOLDERS
from urbancross_mm.structures.annotations import load_annotations, missing_data_message
from urbancross_mm.utils.hashing import FileStamp
from urbancross_mm.utils.images import open_image
from urbancross_mm.utils.paths import safe_join

# Fields of an annotation that name files, repeat others, or have another name in an index.
NOT_KEPT = (*FOLDERS, *RESERVED, 'caption_ids', 'domain', 'geo_tags')

# TIFFs of a folder whose headers are read for a remark.
LOOKED_AT = 8


class TileFiles(ImageFiles):
    """Image files; a GeoTIFF is read as a raster, whatever its bands and bits are."""

    def load(self, path: str) -> dict[str, Any]:
        """Read one file and run the pipeline."""
        if not is_geotiff(Path(path)):
            return super().load(path)
        raster = Raster.open(Path(path))
        bands = raster.color_bands
        window = (0, 0, raster.width, raster.height)
        return load_image(raster.read(window, bands, raster.value_range(bands))[0], self.pipeline)


class ImageSource(BaseSource):
    """Image files with what is known of them.

    A GeoTIFF, or an image with a world file, gets its position from there, unless the records say
    another one.

    Args:
        name (str): Of the source.
        path (str): What was given.
        folder (str): Where the images lie.
        files (Sequence[str]): Their paths below the folder.
        records (Sequence[Mapping], optional): What is known of each. Defaults to None: nothing.
        crs (str): CRS of world files. Defaults to 'EPSG:4326'.
        remark (str): Defaults to ''.
        missing (Sequence[str]): What of the folder cannot be read now. Defaults to ().
    """

    def __init__(
        self,
        name: str,
        path: str,
        folder: str,
        files: Sequence[str],
        records: Sequence[Mapping[str, Any]] | None = None,
        crs: str = 'EPSG:4326',
        remark: str = '',
        missing: Sequence[str] = (),
    ) -> None:
        self.name, self.path, self.origin = name, path, os.path.abspath(folder)
        self.files, self.records = files, records
        self.crs = crs
        self.remark, self.missing = remark, missing

    @classmethod
    def of_folder(cls, name: str, path: str, crs: str, tile_size: int) -> ImageSource:
        """All images below a folder; a remark names large GeoTIFFs, which are not cut."""
        images = find_images(path)
        remarks = [
            images.remark,
            _remark_on_missing(images.missing),
            _remark_on_large(images.paths, tile_size),
        ]
        remark = '; '.join(filter(None, remarks))
        return cls(name, path, path, images.names, None, crs, remark, images.missing)

    @classmethod
    def of_annotations(cls, name: str, path: str, crs: str) -> ImageSource:
        """The images of an annotation file, in ``images/`` beside it or one folder above."""
        metainfo, items = load_annotations(path, captions_required=False)
        roots = [Path(path).absolute().parent, Path(path).absolute().parent.parent]
        folder = next((r / 'images' for r in roots if (r / 'images').is_dir()), None)
        if folder is None:
            raise FileNotFoundError(missing_data_message('folder of images', f'{roots[1]}/images'))
        domain = metainfo.get('domain')
        records = [_record(item, domain) for item in items]
        return cls(name, path, str(folder), [item['img_path'] for item in items], records, crs)

    def __len__(self) -> int:
        return len(self.files)

    def id_of(self, position: int) -> str:
        """The name of the source and the path below it."""
        return f'{self.name}/{self.files[position]}'

    def file_of(self, position: int) -> str:
        """The path below the source."""
        return self.files[position]

    def path_of(self, position: int) -> str:
        """Where the file lies."""
        return safe_join(self.origin, self.files[position])

    def attributes(self, position: int) -> dict[str, Any]:
        """Path, position and record of an image."""
        path = self.path_of(position)
        record = dict(self.records[position]) if self.records else {}
        found = {} if 'lon' in record and 'lat' in record else _position(path, self.crs)
        return dict(plain(found), **record, img_path=path)

    def renewed(self, position: int, stamp: FileStamp) -> FileStamp | None:
        """The stamp of the file; None if it has other content, or cannot be looked at."""
        try:
            return stamp.renewed(self.path_of(position))
        except OSError:
            return None

    def encode(
        self, positions: Sequence[int], embedder: Embedder, skip_bad: bool
    ) -> Iterator[EncodedFiles]:
        """Encode the files."""
        paths = [self.path_of(position) for position in positions]
        yield from embedder.stream(TileFiles(paths, embedder.pipeline, skip_bad))


def _record(item: Mapping[str, Any], domain: str | None) -> dict[str, Any]:
    record = plain(item, NOT_KEPT)
    country = item.get('domain') or domain
    if country:
        record['country'] = country
    if item.get('geo_tags'):
        record['tags'] = list(item['geo_tags'])
    return record


def _remark_on_missing(missing: Sequence[str]) -> str:
    if not missing:
        return ''
    more = f' and {len(missing) - 3} more' if len(missing) > 3 else ''
    names = ', '.join(name or 'the folder' for name in missing[:3])
    return f'cannot be read now: {names}{more}; what an index has of it stays'


def _remark_on_large(paths: Sequence[str], tile_size: int) -> str:
    """Whether a folder holds rasters instead of tiles, by the first TIFFs of it."""
    tiffs = [path for path in paths if Path(path).suffix.lower() in TIFF_SUFFIXES][:LOOKED_AT]
    for path in tiffs:
        try:
            raster = Raster.open(Path(path)) if is_geotiff(Path(path)) else None
        except (OSError, ValueError, ImportError):
            continue  # whoever reads the image says what is wrong with it
        if raster is not None and max(raster.width, raster.height) > 2 * tile_size:
            return (
                f'{path} has {raster.width} x {raster.height} pixels and becomes one item: name '
                'the file itself as a source to cut it into windows'
            )
    return ''


def _position(path: str, crs: str) -> dict[str, Any]:
    """Position of a file by its georeference or its world file; empty without one."""
    try:
        if is_geotiff(Path(path)):
            raster = Raster.open(Path(path))
            return raster.position((0, 0, raster.width, raster.height), crossing=True)
        if world_file_of(Path(path)) is not None:
            with open_image(path, path) as image:
                return position_beside(Path(path), image.width, image.height, crs)[0]
    except (OSError, ValueError):
        pass  # the image itself may be readable; if not, its decoder says why
    return {}
