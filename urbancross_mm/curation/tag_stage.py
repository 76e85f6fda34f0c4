"""The second stage: what a map says of each tile."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from urbancross_mm.curation.geotags import KEYS, Found, focus_and_around, phrases
from urbancross_mm.curation.map_files import (
    MapThings,
    check_map_file,
    import_shapely,
    read_map_file,
)
from urbancross_mm.curation.records import Outcome, Picture
from urbancross_mm.curation.stage import PictureStage, Workplace
from urbancross_mm.registry import CURATION


@CURATION.register_module()
class TagStage(PictureStage):
    """Joins the things on a map to the tiles that they touch.

    A tile without a position, or where the map is empty, is kept with a remark: a captioner may
    still have its pixels or its class.

    Args:
        files (Sequence[str]): GeoJSON, GeoPackage or OpenStreetMap extracts (``.osm.pbf``), below
            ``--in`` or with a path of their own.
        keys (Sequence[str]): OpenStreetMap keys that are said. Defaults to those of what can be
            seen from above.
        max_focus (int): Most phrases of what is at the centre. Defaults to 3.
        max_around (int): Most other phrases. Defaults to 8.

    Raises:
        ValueError: If no file is given or a number is negative.
    """

    name = 'tag'
    reads = ('bounds',)

    def __init__(self, files: Sequence[str], keys: Sequence[str] = KEYS, max_focus: int = 3,
                 max_around: int = 8) -> None:
        super().__init__(batch_size=64)
        if isinstance(files, str) or not files:
            raise ValueError(f'files is a list of map files, got {files!r}')
        if max_focus < 1 or max_around < 0:
            raise ValueError('max_focus must be at least 1 and max_around at least 0, got '
                             f'{max_focus} and {max_around}')
        self.files, self.keys = list(files), tuple(keys)
        self.max_focus, self.max_around = max_focus, max_around
        self.things = MapThings()
        self._tree: Any = None

    def check(self, place: Workplace) -> None:
        """Look for the files and for shapely."""
        for file in self.files:
            check_map_file(place.source / file)

    def settings(self, place: Workplace) -> dict[str, Any]:
        """Options, and hashes of the files."""
        return dict(files={Path(file).name: _hash_file(place.source / file)
                           for file in self.files},
                    keys=hashlib.blake2b(' '.join(self.keys).encode(), digest_size=8).hexdigest(),
                    max_focus=self.max_focus, max_around=self.max_around)

    def begin(self, place: Workplace) -> None:
        """Read the maps and index them by place."""
        self.things = MapThings()
        for file in self.files:
            read_map_file(place.source / file, self.things)
        self._tree = import_shapely().STRtree(self.things.geometries)

    def process(self, pictures: Sequence[Picture], place: Workplace) -> list[Outcome]:
        """Look up each tile."""
        return [self._tag(picture) for picture in pictures]

    def summary(self, pictures: Sequence[Picture], place: Workplace) -> list[str]:
        """What of the maps was of no use."""
        if self._tree is None:
            return []
        shapely, things = import_shapely(), self.things
        boxes = [shapely.box(*picture.fields['bounds']) for picture in pictures
                 if picture.fields.get('bounds')]
        touched = len(set(self._tree.query(boxes, predicate='intersects')[1].tolist())) \
            if boxes else 0
        lines = [f'{len(things.geometries)} things on the map, '
                 f'{len(things.geometries) - touched} touch no tile']
        if things.repaired:
            lines.append(f'{things.repaired} invalid polygons were mended')
        if things.broken:
            lines.append(f'{len(things.broken)} broken features were left out, the first: '
                         f'{things.broken[0]}')
        return lines

    def _tag(self, picture: Picture) -> Outcome:
        bounds = picture.fields.get('bounds')
        if not bounds:
            return Outcome(dict(focus=[], around=[]), reason='no position, so no tags')
        box = import_shapely().box(*bounds)
        found = [self._found(place, box) for place in
                 sorted(self._tree.query(box, predicate='intersects').tolist())]
        focus, around = focus_and_around(found, self.max_focus, self.max_around)
        return Outcome(dict(focus=focus, around=around), reason='' if focus else 'no tags here')

    def _found(self, number: int, box: Any) -> Found:
        """A thing as the tile sees it, in tile widths."""
        west, south, east, north = box.bounds
        inside = self.things.geometries[number].intersection(box)
        across, up = east - west, north - south
        inside = import_shapely().transform(inside, lambda points: points / [across, up])
        centre = import_shapely().Point((west + east) / 2 / across, (south + north) / 2 / up)
        return Found(phrases(self.things.tags[number], self.keys), round(inside.area, 6),
                     0.0 if inside.area else round(inside.length, 6),
                     round(inside.distance(centre), 6))


def _hash_file(path: Path) -> str:
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
