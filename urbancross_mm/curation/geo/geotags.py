"""OpenStreetMap tags as phrases, and which of them belong to a tile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# What a map says of a place that can be seen from above; names, addresses and sources cannot.
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
SPOKEN = {
    'highway': 'road',
    'landuse': 'land use',
    'man_made': 'man made',
    'generator:source': 'generator source',
    'roof:shape': 'roof shape',
}
# OpenStreetMap allows 255 letters; what is said is a word or a few.
LONGEST = 80
NOT_SAID = ('', 'yes', 'no', 'unknown', 'undefined', 'fixme')


@dataclass(frozen=True)
class Found:
    """A thing on the map that touches a tile.

    Attributes:
        phrases (tuple[str, ...]): See :func:`phrases`.
        share (float): Part of the tile that it covers; 0 for points and lines.
        length (float): Of a line inside the tile, in tile widths; else 0.
        distance (float): From the center of the tile, in tile widths; 0 where it covers it.
    """

    phrases: tuple[str, ...]
    share: float
    length: float
    distance: float


def phrases(tags: Mapping[str, object], keys: Sequence[str] = KEYS) -> tuple[str, ...]:
    """Say tags as SkyScript does: ``key of value``.

    Args:
        tags (Mapping): For example ``{'highway': 'residential', 'name': 'Rue X'}``.
        keys (Sequence[str]): Those that are said. Defaults to ``KEYS``.

    Returns:
        tuple[str, ...]: For example ``('road of residential',)``, in the order of the tags; a
        value with ``;`` gives a phrase each, and ``building=yes`` is said as ``building``. Values
        of more than 80 letters are not said.

    Reference:
        SkyScript (https://arxiv.org/abs/2312.12856).
    """
    said = []
    for key, value in tags.items():
        if key not in keys or value is None:
            continue
        name = SPOKEN.get(key, key)
        for part in (part.strip() for part in str(value).split(';')):
            if part == 'yes':
                said.append(name)
            elif part.lower() not in NOT_SAID and len(part) <= LONGEST:
                said.append(f'{name} of {part}')
    return tuple(dict.fromkeys(phrase.replace('_', ' ') for phrase in said))


def focus_and_around(
    found: Iterable[Found], max_focus: int, max_around: int
) -> tuple[list[str], list[str]]:
    """Divide the phrases of a tile.

    The focus is what lies at the center: of the things that cover it, the smallest, or else the
    nearest thing. What fills nearly all of the tile is its ground, not its focus, unless it is all
    there is. Around come the others, the largest first, then the longest.

    Args:
        found (Iterable[Found]): What touches the tile.
        max_focus (int): Most phrases of the focus.
        max_around (int): Most other phrases.

    Returns:
        tuple[list[str], list[str]]: Both without repetition, and none of one in the other.
    """
    things = sorted(
        (one for one in found if one.phrases),
        key=lambda one: (-one.share, -one.length, one.distance, one.phrases),
    )
    if not things:
        return [], []
    small = [one for one in things if one.share < 0.9] or things
    focus = min(small, key=lambda one: (one.distance, one.share, one.phrases))
    first = list(focus.phrases[:max_focus])
    others = dict.fromkeys(phrase for one in things for phrase in one.phrases)
    return first, [phrase for phrase in others if phrase not in focus.phrases][:max_around]
