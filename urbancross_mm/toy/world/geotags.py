"""OpenStreetMap-like tags: ``key of value`` texts and GeoJSON features."""

from __future__ import annotations

from typing import Any

import numpy as np

from urbancross_mm.toy.world.geometry import Outline
from urbancross_mm.toy.world.scene import Item, Scene

METERS_A_DEGREE = 111320.0

TAGS: dict[str, tuple[tuple[str, str], ...]] = {
    'apron': (('aeroway', 'apron'),),
    'beach': (('natural', 'beach'), ('surface', 'sand')),
    'bridge': (('man_made', 'bridge'), ('highway', 'primary')),
    'church': (('amenity', 'place_of_worship'), ('building', 'church')),
    'court': (('leisure', 'pitch'), ('sport', 'tennis')),
    'diamond': (('leisure', 'pitch'), ('sport', 'baseball')),
    'dome': (('amenity', 'conference_centre'), ('building', 'public')),
    'field': (('landuse', 'farmland'),),
    'forest': (('landuse', 'forest'),),
    'hotel': (('tourism', 'hotel'), ('building', 'hotel')),
    'house': (('building', 'house'),),
    'lot': (('amenity', 'parking'), ('parking', 'surface')),
    'pier': (('man_made', 'pier'),),
    'plane': (('aeroway', 'parking_position'),),
    'pond': (('natural', 'water'), ('water', 'pond')),
    'pool': (('leisure', 'swimming_pool'),),
    'river': (('natural', 'water'), ('waterway', 'river')),
    'road': (('highway', 'residential'),),
    'roundabout': (('junction', 'roundabout'),),
    'runway': (('aeroway', 'runway'),),
    'sea': (('natural', 'coastline'),),
    'stadium': (('leisure', 'stadium'), ('building', 'stadium')),
    'tank': (('man_made', 'storage_tank'), ('content', 'oil')),
    'track': (('leisure', 'track'), ('sport', 'athletics')),
    'tree': (('natural', 'tree'),),
    'warehouse': (('building', 'warehouse'), ('landuse', 'industrial')),
}
SPOKEN = {'highway': 'road', 'landuse': 'land use'}
SERVICE = ('industrial', 'storagetanks', 'parking', 'port', 'resort')


def osm_tags(scene: Scene, item: Item) -> dict[str, str]:
    """Tags of one thing, empty for what a map does not show (cars, boats, clearings)."""
    tags = dict(TAGS.get(item.kind, ()))
    if item.kind == 'road':
        tags['highway'] = (
            'track'
            if scene.kind in ('forest', 'farmland')
            else 'service'
            if scene.kind in SERVICE
            else 'residential'
        )
    return tags


def _spoken(key: str, value: str) -> str:
    return f'{SPOKEN.get(key, key)} of {value}'.replace('_', ' ')


def _distinct(scene: Scene, items: list[Item]) -> list[str]:
    pairs = (pair for item in items for pair in osm_tags(scene, item).items())
    return list(dict.fromkeys(_spoken(*pair) for pair in pairs))


def geo_tags(scene: Scene) -> tuple[list[str], list[str]]:
    """Distinct ``key of value`` tags of the focus of a scene, and of what surrounds it."""
    focus = _distinct(scene, scene.select(role='focus') or scene.select('house'))
    rest = [i for i in scene.items if i.role != 'focus' and i.kind != 'tree']
    return focus, [tag for tag in _distinct(scene, rest) if tag not in focus]


def title_multi_objects(scene: Scene) -> str:
    """All tags in one line: ``a of b, c of d; surrounded by e of f, g of h;``."""
    focus, around = geo_tags(scene)
    title = ', '.join(focus) + ';'
    return f'{title} surrounded by {", ".join(around)};' if around else title


def to_degrees(scene: Scene, points: Outline) -> list[list[float]]:
    """``[lon, lat]`` in degrees of points ``(V, 2)``, in meters from the north-west corner."""
    east, south = (points - scene.country.extent / 2).T
    lon = scene.lon + east / (METERS_A_DEGREE * np.cos(np.radians(scene.lat)))
    lat = scene.lat - south / METERS_A_DEGREE
    return np.round(np.stack([lon, lat], 1), 7).tolist()


def geojson_features(scene: Scene, image_name: str) -> list[dict[str, Any]]:
    """GeoJSON features of everything that a map would show; they name their image."""
    features = []
    for item in scene.items:
        tags = osm_tags(scene, item)
        if tags:
            features.append(
                {
                    'type': 'Feature',
                    'geometry': _geometry(scene, item),
                    'properties': {'image_name': image_name, **tags},
                }
            )
    return features


def _geometry(scene: Scene, item: Item) -> dict[str, Any]:
    if item.kind == 'tree':
        return {'type': 'Point', 'coordinates': to_degrees(scene, item.center[None])[0]}
    if len(item.path):
        return {'type': 'LineString', 'coordinates': to_degrees(scene, item.path[::4])}
    ring = to_degrees(scene, item.outline)
    return {'type': 'Polygon', 'coordinates': [[*ring, ring[0]]]}


def world_file(scene: Scene, width: int) -> str:
    """Content of the world file of an image ``width`` pixels wide: its position in degrees."""
    meters = scene.country.extent / width
    step = meters / METERS_A_DEGREE
    across = step / np.cos(np.radians(scene.lat))
    west, north = to_degrees(scene, np.zeros((1, 2)))[0]
    numbers = (across, 0.0, 0.0, -step, west + across / 2, north - step / 2)
    return ''.join(f'{number:.10f}\n' for number in numbers)
