"""Map features from files of every supported format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from urbancross_mm.curation.geo.geotags import phrases
from urbancross_mm.curation.geo.map_features import Box, Feature, MapFeatures, import_shapely
from urbancross_mm.curation.geo.map_geojson import check_geojson, json_features, sequence_features
from urbancross_mm.curation.geo.map_tables import layers, table_features

JSON_SUFFIXES = ('.geojson', '.json')
# One feature per line, or a text sequence.
SEQUENCE_SUFFIXES = ('.geojsonl', '.geojsons', '.geojsonseq', '.ndjson', '.jsonl')
TABLE_SUFFIXES = ('.gpkg', '.pbf', '.osm', '.shp', '.fgb')
SUFFIXES = JSON_SUFFIXES + SEQUENCE_SUFFIXES + TABLE_SUFFIXES


def check_map_file(path: Path) -> None:
    """Check that a map file exists and looks like its format. A large file is not read."""
    if not path.is_file():
        raise FileNotFoundError(
            f'no map file {path} (paths are relative to --in; other maps: '
            '--cfg-options "tag.files=[\'map.geojson\']"; without a map: a folder per class and '
            'configs/curation/classes.py)'
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
    path: Path,
    features: MapFeatures,
    to_phrases: Callable[[Mapping[str, Any]], tuple[str, ...]] = phrases,
) -> None:
    """Add every feature of a file; a broken one is noted and the others are still read."""
    for number, (geometry, tags) in enumerate(_features(path, features.box)):
        try:
            texts = to_phrases(tags())
            if texts:
                features.add(geometry(), texts)
            else:
                features.untagged += 1
        except Exception as error:  # shapely raises many kinds for broken geometries
            bare = isinstance(error, KeyError | TypeError | AttributeError | IndexError)
            text = ' '.join((f'broken, {error!r}' if bare else str(error)).split())
            features.broken.append(f'{path.name}, feature {number}: {text}'[:200])


def _features(path: Path, box: Box) -> Iterator[Feature]:
    suffix = path.suffix.lower()
    if suffix in TABLE_SUFFIXES:
        return table_features(path, box)
    return sequence_features(path) if suffix in SEQUENCE_SUFFIXES else json_features(path)
