"""Things on a map from files of any of the formats that are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from urbancross_mm.curation.geo.geotags import phrases
from urbancross_mm.curation.geo.map_features import Box, Feature, MapThings, import_shapely
from urbancross_mm.curation.geo.map_geojson import check_geojson, json_features, sequence_features
from urbancross_mm.curation.geo.map_tables import layers, table_features

JSON_SUFFIXES = ('.geojson', '.json')
# A feature a line, or in a text sequence.
SEQUENCE_SUFFIXES = ('.geojsonl', '.geojsons', '.geojsonseq', '.ndjson', '.jsonl')
TABLE_SUFFIXES = ('.gpkg', '.pbf', '.osm', '.shp', '.fgb')
SUFFIXES = JSON_SUFFIXES + SEQUENCE_SUFFIXES + TABLE_SUFFIXES


def check_map_file(path: Path) -> None:
    """See whether a map file can be read at all.

    Args:
        path (Path): The file.

    Raises:
        FileNotFoundError: If it is not there.
        ImportError: If an extra is not installed.
        ValueError: If its format is unknown or it cannot be opened. A large file is not read.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'no map file {path} (paths are relative to --in; other maps: '
            '--cfg-options "tag.files=[\'map.geojson\']")'
        )
    import_shapely()
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f'map files end in {", ".join(SUFFIXES)}, got {path.name}')
    if suffix in TABLE_SUFFIXES:
        layers(path)
    else:
        check_geojson(path)


def read_map_file(
    path: Path, things: MapThings, say: Callable[[Mapping[str, Any]], tuple[str, ...]] = phrases
) -> None:
    """Read every feature near the tiles; a broken one is noted and the others go on.

    Args:
        path (Path): The file.
        things (MapThings): Grows by what lies in its box.
        say (Callable): From tags to phrases. Defaults to
            :func:`urbancross_mm.curation.geo.geotags.phrases`.

    Raises:
        ValueError: If the file as a whole cannot be read.
    """
    for number, (make, tags) in enumerate(_features(path, things.box)):
        try:
            said = say(tags())
            if said:
                things.add(make(), said)
            else:
                things.silent += 1
        except Exception as error:  # whatever shapely makes of broken geometry
            bare = isinstance(error, KeyError | TypeError | AttributeError | IndexError)
            text = ' '.join((f'broken, {error!r}' if bare else str(error)).split())
            things.broken.append(f'{path.name}, feature {number}: {text}'[:200])


def _features(path: Path, box: Box) -> Iterator[Feature]:
    suffix = path.suffix.lower()
    if suffix in TABLE_SUFFIXES:
        return table_features(path, box)
    return sequence_features(path) if suffix in SEQUENCE_SUFFIXES else json_features(path)
