"""Noun phrases that say truly what is in a scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from urbancross_mm.toy.world.scene import Item, Scene

NUMBERS = ('no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten')
NOUNS: dict[str, tuple[str, str]] = {
    'boat': ('boat', 'boats'),
    'bridge': ('bridge', 'bridges'),
    'car': ('car', 'cars'),
    'church': ('church', 'churches'),
    'clearing': ('clearing', 'clearings'),
    'court': ('tennis court', 'tennis courts'),
    'diamond': ('baseball field', 'baseball fields'),
    'dome': ('round building', 'round buildings'),
    'field': ('field', 'fields'),
    'forest': ('forest', 'forests'),
    'house': ('house', 'houses'),
    'lot': ('car park', 'car parks'),
    'plane': ('plane', 'planes'),
    'pond': ('pond', 'ponds'),
    'pool': ('swimming pool', 'swimming pools'),
    'road': ('road', 'roads'),
    'stadium': ('stadium', 'stadiums'),
    'tank': ('storage tank', 'storage tanks'),
    'track': ('running track', 'running tracks'),
    'tree': ('tree', 'trees'),
    'warehouse': ('warehouse', 'warehouses'),
}
COLORS = {'sea': 'blue', 'canopy': 'dark green', 'pale': 'white'}
GROUNDS = {'grass': 'green grass', 'dry': 'dry grass', 'soil': 'bare soil'}
PARTS = {'church': 'roof', 'dome': 'dome', 'stadium': 'stands', 'diamond': 'sand'}
UNCOLORED = ('forest', 'lot', 'clearing', 'beach', 'bridge')

Words = Callable[[str], tuple[str, str]]  # kind -> (singular, plural)


class Phrase(NamedTuple):
    """Words for one or more items.

    Args:
        text (str): Without a full stop, beginning in lower case.
        plural (bool): Whether a verb takes ``are``.
    """

    text: str
    plural: bool


def plain_words(kind: str) -> tuple[str, str]:
    """Singular and plural in the wording that all countries share."""
    return NOUNS[kind]


def article(text: str) -> str:
    """Put ``a`` or ``an`` in front."""
    return f'{"an" if text[0] in "aeiou" else "a"} {text}'


def number(count: int) -> str:
    """``two`` to ``ten``, then ``many``."""
    return NUMBERS[count] if count < len(NUMBERS) else 'many'


def counted(count: int, kind: str, words: Words, color: str = '') -> Phrase:
    """``a red car``, ``three red cars``, ``many red cars``."""
    singular, plural = words(kind)
    color = f'{COLORS.get(color, color)} ' if color else ''
    if count == 1:
        return Phrase(article(color + singular), False)
    return Phrase(f'{number(count)} {color}{plural}', True)


def group_phrase(items: list[Item], words: Words = plain_words) -> Phrase:
    """Equal items by number and color; buildings by the color of their roof."""
    kind, color = items[0].kind, items[0].color
    if kind in UNCOLORED:
        return counted(len(items), kind, words)
    if kind in PARTS:
        base = counted(len(items), kind, words)
        part = f'{COLORS.get(color, color)} {PARTS[kind]}'
        part = part if kind in ('stadium', 'diamond') else article(part)
        return Phrase(f'{base.text} with {part}', base.plural)
    return counted(len(items), kind, words, color)


def houses(scene: Scene, words: Words = plain_words) -> Phrase | None:
    """Number of houses and the color of their roofs."""
    items = scene.select('house')
    if not items:
        return None
    base = counted(len(items), 'house', words)
    colors = [item.color for item in items]
    main = max(sorted(set(colors)), key=colors.count)
    if colors.count(main) * 2 <= len(colors):
        return Phrase(f'{base.text} with roofs of several colours', base.plural)
    if len(items) == 1:
        return Phrase(f'{base.text} with {article(main)} roof', False)
    mostly = '' if colors.count(main) == len(colors) else 'mostly '
    return Phrase(f'{base.text} with {mostly}{main} roofs', True)


def roads(scene: Scene) -> Phrase | None:
    """Number and course of the roads."""
    items = scene.select('road')
    if not items:
        return None
    course = {'curved': 'curved ', 'grid': 'straight ', 'radial': ''}[scene.country.streets]
    text = f'a {course}road' if len(items) == 1 else f'{number(len(items))} {course}roads'
    if scene.country.streets == 'radial' and len(items) > 1:
        node = 'a roundabout' if scene.select('roundabout') else 'a junction'
        text += f' meeting at {node}'
    elif scene.country.streets == 'grid' and _cross(items):
        text += ' crossing each other'
    return Phrase(text, len(items) > 1)


def _cross(items: list[Item]) -> bool:
    """Whether roads of a grid run in both directions."""
    along = [road.path[-1] - road.path[0] for road in items]
    return any(
        abs(a @ along[0]) < 0.5 * np.linalg.norm(a) * np.linalg.norm(along[0]) for a in along
    )


def trees(scene: Scene, words: Words = plain_words) -> Phrase:
    """How many single trees, in words."""
    count = len(scene.select('tree'))
    singular, plural = words('tree')
    if count < 2:
        return Phrase(article(f'single {singular}') if count else f'no {plural}', count == 0)
    amount = 'a few' if count < 7 else 'some' if count < 16 else 'many'
    return Phrase(f'{amount} {plural}', True)


def focus(scene: Scene, words: Words = plain_words) -> Phrase:
    """What the image is about, without its zone."""
    if scene.kind in SPECIAL:
        return SPECIAL[scene.kind](scene, words)
    return group_phrase(scene.select(role='focus'), words)


def place(scene: Scene) -> str:
    """Where the focus lies, or nothing where it fills the image."""
    if scene.kind in SPREAD:
        return ''
    if scene.side:
        return f'in the {scene.side}'
    zone = scene.zone(scene.select(role='focus'))
    return f'in the {zone}'


def second(scene: Scene, words: Words = plain_words) -> Phrase | None:
    """The second group of items and its zone."""
    items = scene.select(role='second')
    if not items:
        return None
    base = group_phrase(items, words)
    return Phrase(f'{base.text} in the {scene.zone(items)}', base.plural)


def _river(scene: Scene, words: Words) -> Phrase:
    river = scene.select('river')[0]
    way = 'from north to south' if abs(np.sin(river.angle)) > 0.7 else 'from west to east'
    color = COLORS.get(river.color, river.color)
    if scene.kind == 'bridge':
        over = group_phrase(scene.select('bridge'), words)
        return Phrase(f'{over.text} over {article(color)} river running {way}', over.plural)
    return Phrase(f'a winding {color} river running {way}', False)


def _fields(scene: Scene, words: Words) -> Phrase:
    items = scene.select('field')
    colors = list(dict.fromkeys(item.color for item in items))
    listed = ', '.join(colors[:-1]) + f' and {colors[-1]}' if len(colors) > 1 else colors[0]
    return Phrase(f'{number(len(items))} {listed} {words("field")[1]}', True)


def _wood(scene: Scene, words: Words) -> Phrase:
    items = scene.select('clearing')
    text = f'dense {words("forest")[0]} everywhere'
    if items:
        text += f' with {counted(len(items), "clearing", words).text}'
        text += f' in the {scene.zone(items)}' if len(items) == 1 else ''
    return Phrase(text, False)


def _parking(scene: Scene, words: Words) -> Phrase:
    parked = len(scene.select('car', role='parked'))
    return Phrase(f'{article(words("lot")[0])} with {number(parked)} parked cars', False)


def _planes(scene: Scene, words: Words) -> Phrase:
    base = group_phrase(scene.select('plane'), words)
    return Phrase(f'{base.text} on an apron beside a runway', base.plural)


def _boats(scene: Scene, words: Words) -> Phrase:
    base = group_phrase(scene.select('boat'), words)
    return Phrase(f'{base.text} at a pier', base.plural)


SPECIAL: dict[str, Callable[[Scene, Words], Phrase]] = {
    'airport': _planes,
    'beach': lambda scene, words: Phrase('a sandy beach beside the sea', False),
    'bridge': _river,
    'farmland': _fields,
    'forest': _wood,
    'parking': _parking,
    'port': _boats,
    'river': _river,
    'denseresidential': lambda scene, words: houses(scene, words) or Phrase('open land', False),
    'sparseresidential': lambda scene, words: houses(scene, words) or Phrase('open land', False),
}
SPREAD = (
    'airport',
    'bridge',
    'denseresidential',
    'farmland',
    'forest',
    'river',
    'sparseresidential',
)
