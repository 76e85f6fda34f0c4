"""What a command line names as the source of an index."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from urbancross_mm.geo.georeference import WGS84, check_crs
from urbancross_mm.geo.raster_files import TIFF_SUFFIXES
from urbancross_mm.inference.indexing.base_source import BaseSource, refuse_equal_names
from urbancross_mm.inference.indexing.feature_source import (
    FeatureSource,
    ParquetSource,
    is_feature_parquet,
)
from urbancross_mm.inference.indexing.image_source import ImageSource
from urbancross_mm.inference.indexing.raster_source import RasterSource
from urbancross_mm.utils.image_files import has_image_suffix

# Folders whose own name says nothing.
PLAIN_FOLDERS = ('images', 'tiles')


@dataclass(frozen=True)
class SourceOptions:
    """How sources are read.

    Attributes:
        tile_size (int): Side of a window of a GeoTIFF, in pixels.
        stride (int | None): Pixels from one window to the next; None for windows side by side.
        crs (str): CRS of world files.
    """

    tile_size: int = 256
    stride: int | None = None
    crs: str = WGS84

    def __post_init__(self) -> None:
        for name, value in (('tile_size', self.tile_size), ('stride', self.step)):
            if value < 1:
                raise ValueError(f'{name} must be at least 1 pixel, got {value}')
        check_crs(self.crs)

    @property
    def step(self) -> int:
        """int: The stride in pixels."""
        return self.tile_size if self.stride is None else self.stride


def open_sources(paths: Sequence[str], options: SourceOptions | None = None) -> list[BaseSource]:
    """Open what an index is built from.

    Args:
        paths (Sequence[str]): Each a folder of images, an annotation file (``.json`` or
            ``.parquet``), a feature file (``.npz``, or ``.parquet`` with a column of vectors) or a
            GeoTIFF; ``NAME=PATH`` chooses the name that its ids begin with.
        options (SourceOptions, optional): Defaults to those of the class.

    Returns:
        list[BaseSource]: One per path.

    Raises:
        FileNotFoundError: If one does not exist, or holds no image.
        ValueError: If one is something else, or two would have one name.
    """
    sources = [_open(path, options or SourceOptions()) for path in paths]
    refuse_equal_names(sources)
    return sources


def _open(text: str, options: SourceOptions) -> BaseSource:
    name, path = _split(text)
    suffix = Path(path).suffix.lower()
    if os.path.isdir(path):
        return ImageSource.of_folder(
            name or _folder_name(path), path, options.crs, options.tile_size
        )
    if not os.path.exists(path):
        raise FileNotFoundError(f'no folder of images, annotation file or GeoTIFF at {path!r}')
    name = name or Path(path).stem
    if suffix in TIFF_SUFFIXES:
        return RasterSource(name, path, options.tile_size, options.step)
    if suffix == '.npz':
        return FeatureSource(name, path)
    if suffix == '.parquet' and is_feature_parquet(path):
        return ParquetSource(name, path)
    if suffix in ('.json', '.parquet'):
        return ImageSource.of_annotations(name, path, options.crs)
    what = 'a single image: name its folder' if has_image_suffix(path) else 'another kind of file'
    raise ValueError(
        f'{path!r} is {what}; a source is a folder of images, an annotation file (.json, '
        '.parquet), a feature file (.npz, .parquet) or a GeoTIFF (.tif)'
    )


def _split(text: str) -> tuple[str, str]:
    """Name and path of ``NAME=PATH``; a path may hold the sign as well."""
    name, sign, path = text.partition('=')
    if not sign or os.path.exists(text):
        return '', text
    if not name or '/' in name or name.startswith('.') or '#' in name:
        raise ValueError(f'{name!r} cannot name a source, in {text!r}: use letters and digits')
    return name, path


def _folder_name(path: str) -> str:
    folder = Path(os.path.abspath(path))
    plain = folder.name in PLAIN_FOLDERS and folder.parent.name
    return (folder.parent if plain else folder).name or 'root'
