"""The second stage: what a map says of each tile."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from urbancross_mm.curation.core.records import ImageRecord, Outcome
from urbancross_mm.curation.core.stage import ImageStage, Workplace
from urbancross_mm.curation.geo.geotags import KEYS, focus_and_around, phrases
from urbancross_mm.curation.geo.map_features import MapThings
from urbancross_mm.curation.geo.map_files import check_map_file, read_map_file
from urbancross_mm.curation.geo.map_index import MapIndex
from urbancross_mm.registry import CURATION
from urbancross_mm.utils.hashing import file_digest


@CURATION.register_module()
class TagStage(ImageStage):
    """Joins the things on a map to the tiles that they touch.

    A tile without a position, or where the map is empty, is kept with a remark: a captioner may
    still have its pixels or its class.

    Args:
        files (Sequence[str]): GeoJSON (also a feature a line), Overpass JSON (``out geom``),
            GeoPackage or OpenStreetMap extracts (``.osm.pbf``), below ``--in`` or with a path of
            their own.
        keys (Sequence[str]): OpenStreetMap keys that are said. Defaults to those of what can be
            seen from above.
        max_focus (int): Most phrases of what is at the center. Defaults to 3.
        max_around (int): Most other phrases. Defaults to 8.

    Raises:
        ValueError: If no file is given or a number is negative.
    """

    name = 'tag'
    version = 2
    reads = ('bounds',)

    def __init__(
        self,
        files: Sequence[str],
        keys: Sequence[str] = KEYS,
        max_focus: int = 3,
        max_around: int = 8,
    ) -> None:
        super().__init__(batch_size=64)
        if isinstance(files, str) or not files:
            raise ValueError(f'files is a list of map files, got {files!r}')
        if max_focus < 1 or max_around < 0:
            raise ValueError(
                'max_focus must be at least 1 and max_around at least 0, got '
                f'{max_focus} and {max_around}'
            )
        self.files, self.keys = list(files), tuple(keys)
        self.max_focus, self.max_around = max_focus, max_around
        self.things = MapThings()
        self._index: MapIndex | None = None

    def check(self, place: Workplace) -> None:
        """Look for the files, whether they can be read, and for shapely."""
        for file in self.files:
            check_map_file(Path(os.path.normpath(place.source / file)))

    def settings(self, place: Workplace) -> dict[str, Any]:
        """Options, and hashes of the files."""
        return dict(
            files=[[Path(file).name, file_digest(place.source / file)] for file in self.files],
            keys=hashlib.blake2b(' '.join(self.keys).encode(), digest_size=8).hexdigest(),
            max_focus=self.max_focus,
            max_around=self.max_around,
        )

    def begin(self, place: Workplace, images: Sequence[ImageRecord]) -> None:
        """Read of the maps what lies around the tiles, and index it by place."""
        boxes = [box for image in images if (box := image.fields.get('bounds'))]
        self.things = MapThings(box=_hull(boxes)) if boxes else MapThings()
        for file in self.files if boxes else ():
            read_map_file(place.source / file, self.things, lambda tags: phrases(tags, self.keys))
        self._index = MapIndex(self.things.geometries, self.things.phrases)

    def process(self, images: Sequence[ImageRecord], place: Workplace) -> list[Outcome]:
        """Look up each tile."""
        return [self._tag(image) for image in images]

    def summary(self, images: Sequence[ImageRecord], place: Workplace) -> list[str]:
        """What of the maps was of no use."""
        if self._index is None:
            return []
        if not any(image.fields.get('bounds') for image in images):
            return ['no tile has a position, so the map was not read']
        things = self.things
        touched = self._index.touched(
            image.fields['bounds'] for image in images if image.fields.get('bounds')
        )
        lines = [
            f'{len(things.geometries)} things of the map around the tiles, '
            f'{len(things.geometries) - touched} touch none'
        ]
        if not things.geometries:
            west, south, east, north = things.box
            lines.append(
                f'the map says nothing where the tiles are (longitude {west:.6g} to '
                f'{east:.6g}, latitude {south:.6g} to {north:.6g}): another area, another '
                'CRS, longitude and latitude swapped, or no tags?'
            )
        if things.silent:
            lines.append(
                f'{things.silent} features have no tag that becomes a phrase (building, '
                'landuse, highway, ...) and were left out'
            )
        if things.repaired:
            lines.append(f'{things.repaired} invalid polygons were mended')
        if things.broken:
            lines.append(
                f'{len(things.broken)} broken features were left out, the first: {things.broken[0]}'
            )
        return lines

    def _tag(self, image: ImageRecord) -> Outcome:
        bounds = image.fields.get('bounds')
        if not bounds:
            return Outcome(dict(focus=[], around=[]), reason='no position, so no tags')
        assert self._index is not None
        focus, around = focus_and_around(
            self._index.look_up(bounds), self.max_focus, self.max_around
        )
        return Outcome(dict(focus=focus, around=around), reason='' if focus else 'no tags here')


def _hull(boxes: Sequence[Sequence[float]]) -> tuple[float, ...]:
    west, south, east, north = zip(*boxes)
    return min(west), min(south), max(east), max(north)
