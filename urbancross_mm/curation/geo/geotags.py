"""OpenStreetMap tags as phrases, and which of them belong to a tile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# Keys of what can be seen from above; names, addresses and sources cannot.
KEYS = (
    'aerialway',
    'aeroway',
    'amenity',
    'barrier',
    'boundary',
    'bridge',
    'building',
    'content',
    'craft',
    'emergency',
    'generator:source',
    'highway',
    'historic',
    'junction',
    'landcover',
    'landuse',
    'leisure',
    'man_made',
    'military',
    'natural',
    'office',
    'parking',
    'place',
    'power',
    'public_transport',
    'railway',
    'roof:shape',
    'shop',
    'sport',
    'surface',
    'tourism',
    'tunnel',
    'water',
    'waterway',
)
KEY_NAMES = {
    'highway': 'road',
    'landuse': 'land use',
    'man_made': 'man made',
    'generator:source': 'generator source',
    'roof:shape': 'roof shape',
}
# Characters of a value. OpenStreetMap allows 255, but a useful value is a word or a few.
LONGEST = 80
IGNORED_VALUES = ('', 'yes', 'no', 'unknown', 'undefined', 'fixme')


@dataclass(frozen=True)
class TileFeature:
    """A map feature that touches a tile, as seen from the tile.

    Attributes:
        phrases (tuple[str, ...]): See :func:`phrases`.
        share (float): Part of the tile that it covers; 0 for points and lines.
        length (float): Length of a line inside the tile, in tile widths; else 0.
        distance (float): Distance from the center of the tile, in tile widths; 0 if it covers it.
    """

    phrases: tuple[str, ...]
    share: float
    length: float
    distance: float


def phrases(tags: Mapping[str, object], keys: Sequence[str] = KEYS) -> tuple[str, ...]:
    """Turn tags into phrases as SkyScript does: ``key of value``.

    A value with ``;`` gives several phrases. ``building=yes`` becomes ``building``.

    Reference:
        SkyScript (https://arxiv.org/abs/2312.12856).
    """
    texts = []
    for key, value in tags.items():
        if key not in keys or value is None:
            continue
        name = KEY_NAMES.get(key, key)
        for part in (part.strip() for part in str(value).split(';')):
            if part == 'yes':
                texts.append(name)
            elif part.lower() not in IGNORED_VALUES and len(part) <= LONGEST:
                texts.append(f'{name} of {part}')
    return tuple(dict.fromkeys(phrase.replace('_', ' ') for phrase in texts))


def focus_and_around(
    features: Iterable[TileFeature], max_focus: int, max_around: int
) -> tuple[list[str], list[str]]:
    """Divide the phrases of a tile into those of its focus and those around it.

    The focus is the smallest feature that covers the center, or else the nearest one. A feature
    that fills nearly all of the tile is its ground, and becomes the focus only if it is alone.
    The others follow by falling area, then by falling length.
    """
    ranked = sorted(
        (feature for feature in features if feature.phrases),
        key=lambda feature: (-feature.share, -feature.length, feature.distance, feature.phrases),
    )
    if not ranked:
        return [], []
    small = [feature for feature in ranked if feature.share < 0.9] or ranked
    focus = min(small, key=lambda feature: (feature.distance, feature.share, feature.phrases))
    first = list(focus.phrases[:max_focus])
    others = dict.fromkeys(phrase for feature in ranked for phrase in feature.phrases)
    return first, [phrase for phrase in others if phrase not in focus.phrases][:max_around]
