"""The stage that gives each tile the tags of the map features that it touches."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from urbancross_mm.curation.core.records import ImageRecord, Outcome
from urbancross_mm.curation.core.stage import ImageStage, Workspace
from urbancross_mm.curation.geo.geotags import KEYS, focus_and_around, phrases
from urbancross_mm.curation.geo.map_features import MapFeatures
from urbancross_mm.curation.geo.map_files import check_map_file, read_map_file
from urbancross_mm.curation.geo.map_index import MapIndex
from urbancross_mm.registry import CURATION
from urbancross_mm.utils.hashing import file_digest


@CURATION.register_module()
class TagStage(ImageStage):
    """Writes ``focus`` and ``around``: tags of the map features that a tile touches.

    A tile without a position or without tags is kept with a remark. A captioner may still use its
    pixels or its class.

    Args:
        files (Sequence[str]): Map files: GeoJSON (also one feature per line), Overpass JSON
            (``out geom``), GeoPackage, shapefile, FlatGeobuf or OpenStreetMap extract
            (``.osm.pbf``). Paths are absolute or relative to ``--in``.
        keys (Sequence[str]): OpenStreetMap keys to use. Defaults to those of what can be seen from
            above.
        max_focus (int): Most phrases of the feature at the center. Defaults to 3.
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
            raise ValueError(f'files must be a list of map files, got {files!r}')
        if max_focus < 1 or max_around < 0:
            raise ValueError(
                'max_focus must be at least 1 and max_around at least 0, got '
                f'{max_focus} and {max_around}'
            )
        self.files, self.keys = list(files), tuple(keys)
        self.max_focus, self.max_around = max_focus, max_around
        self.features = MapFeatures()
        self._index: MapIndex | None = None

    def check(self, workspace: Workspace) -> None:
        """Look for shapely, and for the files and their formats."""
        for file in self.files:
            check_map_file(Path(os.path.normpath(workspace.source / file)))

    def settings(self, workspace: Workspace) -> dict[str, Any]:
        """Options and hashes of the files."""
        return dict(
            files=[[Path(file).name, file_digest(workspace.source / file)] for file in self.files],
            keys=hashlib.blake2b(' '.join(self.keys).encode(), digest_size=8).hexdigest(),
            max_focus=self.max_focus,
            max_around=self.max_around,
        )

    def begin(self, workspace: Workspace, images: Sequence[ImageRecord]) -> None:
        """Read the map features around the tiles, and index them."""
        boxes = [box for image in images if (box := image.fields.get('bounds'))]
        self.features = MapFeatures(box=_hull(boxes)) if boxes else MapFeatures()
        for file in self.files if boxes else ():
            read_map_file(
                workspace.source / file, self.features, lambda tags: phrases(tags, self.keys)
            )
        self._index = MapIndex(self.features.geometries, self.features.phrases)

    def process(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[Outcome]:
        """Look up the tags of each tile."""
        return [self._tag(image) for image in images]

    def summary(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[str]:
        """Number of map features, and those that could not be used."""
        if self._index is None:
            return []
        if not any(image.fields.get('bounds') for image in images):
            return ['no tile has a position, so the map was not read']
        features = self.features
        touched = self._index.touched(
            image.fields['bounds'] for image in images if image.fields.get('bounds')
        )
        lines = [
            f'{len(features.geometries)} map features around the tiles, '
            f'{len(features.geometries) - touched} touch no tile'
        ]
        if not features.geometries:
            west, south, east, north = features.box
            lines.append(
                f'the map has no tags where the tiles are (longitude {west:.6g} to {east:.6g}, '
                f'latitude {south:.6g} to {north:.6g}): check its area, its CRS, and the order of '
                'longitude and latitude'
            )
        if features.untagged:
            lines.append(
                f'{features.untagged} features without a useful tag (building, landuse, highway, '
                '...) were left out'
            )
        if features.repaired:
            lines.append(f'{features.repaired} invalid polygons were fixed')
        if features.broken:
            lines.append(
                f'{len(features.broken)} broken features were left out, the first: '
                f'{features.broken[0]}'
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
