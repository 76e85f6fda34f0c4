"""What an index holds, as a person who filters or types wants to know it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from urbancross_mm.inference.stores import BaseStore

MOST_ITEMS = 100_000  # a large index is judged by these
MOST_PHRASES, MOST_VALUES, SHOWN_VALUES, EXAMPLES = 50_000, 1000, 40, 5
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


@dataclass(frozen=True)
class Overview:
    """A summary of the items of a store.

    Attributes:
        bounds (tuple | None): West, south, east and north of the items with a position.
        attributes (list[tuple]): Name, kind and frequent values of what can be filtered by.
        phrases (list[str]): Class words, tags and captions, frequent ones first.
    """

    bounds: tuple[float, float, float, float] | None
    attributes: list[tuple[str, str, list[str]]]
    phrases: list[str]

    @classmethod
    def of(cls, store: BaseStore) -> Overview:
        """Read the items of a store, of a large one the first 100,000.

        Args:
            store (BaseStore): The store.

        Returns:
            Overview: The summary.
        """
        kinds: dict[str, str] = {}
        values: dict[str, Counter[str]] = {}
        spoken: Counter[str] = Counter()
        box = _Box()
        for item in islice(store.items(), MOST_ITEMS):
            box.add(item.attributes)
            for name, value in item.attributes.items():
                if name in SPOKEN and len(spoken) < MOST_PHRASES:
                    spoken.update(filter(None, map(_first_sentence, texts_of(value))))
                if name not in NOT_FILTERED and value is not None:
                    kinds.setdefault(name, _kind(value))
                    counted = values.setdefault(name, Counter())
                    if len(counted) < MOST_VALUES:
                        counted.update(texts_of(value))
        attributes = [(name, kind, _frequent(values[name])) for name, kind in sorted(kinds.items())]
        return cls(box.bounds, attributes, [phrase for phrase, _ in spoken.most_common()])

    @property
    def examples(self) -> list[str]:
        """list[str]: Some captions, common and rarer ones, or else other phrases."""
        sentences = [phrase for phrase in self.phrases if ' ' in phrase] or self.phrases
        return sentences[:: max(1, len(sentences) // EXAMPLES)][:EXAMPLES]

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


class _Box:
    """The smallest box around positions; it does not cross the antimeridian."""

    def __init__(self) -> None:
        self.bounds: tuple[float, float, float, float] | None = None

    def add(self, attributes: Mapping[str, Any]) -> None:
        lon, lat = attributes.get('lon'), attributes.get('lat')
        if lon is None or lat is None:
            return
        west, south, east, north = attributes.get('bounds') or (lon, lat, lon, lat)
        if west > east:
            west, east = -180.0, 180.0
        if self.bounds is not None:
            west, south = min(west, self.bounds[0]), min(south, self.bounds[1])
            east, north = max(east, self.bounds[2]), max(north, self.bounds[3])
        self.bounds = (west, south, east, north)


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
    return 'number' if isinstance(value, int | float) else 'other'


def _frequent(counted: Counter[str]) -> list[str]:
    """None where nearly every item has a value of its own, such as a name or a date."""
    distinct = len(counted)
    if distinct >= MOST_VALUES or (distinct > 1 and 2 * distinct > counted.total()):
        return []
    return [value for value, _ in counted.most_common(SHOWN_VALUES)]
