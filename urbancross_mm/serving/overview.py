"""What an index holds, as a person who filters or types wants to know it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from urbancross_mm.inference.stores import BaseStore
from urbancross_mm.structures.filters import AnyOf, Compare, Filter, Tags
from urbancross_mm.structures.filters.places import shortest_arc

MOST_ITEMS = 100_000  # a large index is judged by these
MOST_PHRASES, MOST_VALUES, SHOWN_VALUES, EXAMPLES = 50_000, 1000, 40, 5
METERS = 500  # of the example of a circle
# Attributes whose words a person may search for.
SPOKEN = ('class', 'tags', 'scene', 'caption', 'captions')
# Attributes that name one item each, or are no plain value to filter by.
NOT_FILTERED = (
    'img_path',
    'window',
    'bounds',
    'stamp',
    'from_table',
    'caption',
    'captions',
    'duplicate_of',
)
POSITION = ('lon', 'lat')  # which boxes and circles look at
Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Attribute:
    """What can be filtered by.

    Attributes:
        name (str): Its name.
        kind (str): 'text', 'number', 'list' or 'other'.
        values (list[str]): Frequent values of a text or list.
        example (str): A condition that some item passes; '' if there is none to give.
    """

    name: str
    kind: str
    values: list[str]
    example: str = ''

    def condition(self, *values: str) -> str:
        """The condition that one of some values is there.

        Args:
            *values (str): Values.

        Returns:
            str: As the filter language writes it.
        """
        lists = self.kind == 'list'
        return str(Tags(self.name, values, all=False) if lists else AnyOf(self.name, values))


@dataclass(frozen=True)
class Overview:
    """A summary of the items of a store.

    Attributes:
        bounds (tuple | None): West, south, east and north of the items with a position; the west
            is larger than the east where they lie on both sides of 180 degrees.
        attributes (list[Attribute]): What can be filtered by.
        phrases (list[str]): Class words, tags and captions, frequent ones first.
        near (str): A circle as a condition that some item passes; '' without positions.
    """

    bounds: Bounds | None
    attributes: list[Attribute]
    phrases: list[str]
    near: str = ''

    @classmethod
    def of(cls, store: BaseStore) -> Overview:
        """Read the items of a store, of a large one the first 100,000.

        Args:
            store (BaseStore): The store.

        Returns:
            Overview: The summary.
        """
        columns: dict[str, _Column] = {}
        spoken: Counter[str] = Counter()
        box = _Box()
        for item in islice(store.items(), MOST_ITEMS):
            box.add(item.attributes)
            for name, value in item.attributes.items():
                if name in SPOKEN and len(spoken) < MOST_PHRASES:
                    spoken.update(filter(None, map(_first_sentence, texts_of(value))))
                if name not in NOT_FILTERED and value is not None:
                    columns.setdefault(name, _Column(name, _kind(value))).add(value)
        return cls(
            box.bounds,
            [column.attribute for _, column in sorted(columns.items())],
            [phrase for phrase, _ in spoken.most_common()],
            box.near,
        )

    @property
    def examples(self) -> list[str]:
        """list[str]: Some captions, common and rarer ones, or else other phrases."""
        captions = [phrase for phrase in self.phrases if ' ' in phrase] or self.phrases
        return captions[:: max(1, len(captions) // EXAMPLES)][:EXAMPLES]

    @property
    def conditions(self) -> list[str]:
        """list[str]: Conditions of several kinds, each of which some item passes."""
        by_kind: dict[str, str] = {}
        for attribute in self.attributes:
            kind = 'date' if attribute.name == 'date' else attribute.kind
            if attribute.example and attribute.name not in POSITION:
                by_kind.setdefault(kind, attribute.example)
        return [*by_kind.values(), *filter(None, [self.near])]

    def suggest(self, typed: str, most: int = 8) -> list[str]:
        """Phrases that begin with what was typed, then those with a word that does.

        Args:
            typed (str): What is in the search box.
            most (int): Defaults to 8.

        Returns:
            list[str]: Phrases.
        """
        typed = typed.strip().lower()
        if not typed:
            return []
        first = [phrase for phrase in self.phrases if phrase.lower().startswith(typed)]
        inside = (phrase for phrase in self.phrases if f' {typed}' in phrase.lower())
        return [*first[:most], *islice(inside, max(0, most - len(first)))]


@dataclass
class _Column:
    """The values of one attribute; of its kind is what came first."""

    name: str
    kind: str
    counted: Counter[str] = field(default_factory=Counter)
    first: Any = None

    def add(self, value: Any) -> None:
        self.first = value if self.first is None else self.first
        if len(self.counted) < MOST_VALUES:
            self.counted.update(texts_of(value))

    @property
    def attribute(self) -> Attribute:
        bare = Attribute(self.name, self.kind, _frequent(self.counted))
        return Attribute(self.name, self.kind, bare.values, self._example(bare))

    def _example(self, bare: Attribute) -> str:
        """A condition as a person may write it, if it can be read back."""
        try:
            if self.name == 'date':
                example = str(Compare(self.name, '>=', str(self.first)[:4]))
            elif bare.values:
                example = bare.condition(*bare.values[:2])
            elif self.kind == 'number':
                example = str(Compare(self.name, '<=', self.first))
            else:
                return ''
            Filter.parse([example])
        except ValueError:  # a date that is none, a number that is not finite
            return ''
        return example


class _Box:
    """The smallest box around positions, and a circle around the first of them."""

    def __init__(self) -> None:
        self._south, self._north = 90.0, -90.0
        self._sides: list[tuple[float, float]] = []
        self.near = ''

    def add(self, attributes: Mapping[str, Any]) -> None:
        lon, lat = attributes.get('lon'), attributes.get('lat')
        if not (isinstance(lon, int | float) and isinstance(lat, int | float)):
            return
        self.near = self.near or f'near={lon:.5f},{lat:.5f},{METERS}'
        west, south, east, north = attributes.get('bounds') or (lon, lat, lon, lat)
        self._sides.append((west, east if east >= west else east + 360))
        self._south, self._north = min(south, self._south), max(north, self._north)

    @property
    def bounds(self) -> Bounds | None:
        if not self._sides:
            return None
        west, east = shortest_arc(self._sides)
        return west, self._south, east, self._north


def texts_of(value: Any) -> Iterable[str]:
    """The texts in a value: one, those of a list, or none.

    Args:
        value (Any): Of an attribute.

    Returns:
        Iterable[str]: The texts.
    """
    if isinstance(value, str):
        return [value]
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _first_sentence(text: str) -> str:
    """As much of a caption as a person would type."""
    return text.strip().partition('. ')[0].rstrip('.')


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return 'text'
    if isinstance(value, list):
        return 'list'
    return 'number' if isinstance(value, int | float) and not isinstance(value, bool) else 'other'


def _frequent(counted: Counter[str]) -> list[str]:
    """None where nearly every item has a value of its own, such as a name or a date."""
    distinct = len(counted)
    if distinct >= MOST_VALUES or (distinct > 1 and 2 * distinct > counted.total()):
        return []
    return [value for value, _ in counted.most_common(SHOWN_VALUES)]
