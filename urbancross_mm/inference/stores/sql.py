"""Filters as SQL conditions, for every store that speaks SQL.

A condition keeps exactly the items that :meth:`Filter.matches` keeps, with one exception: of a
circle or polygon SQL sees the box around it. What is left is checked on the candidates' centers.

An attribute may be text in one item and a number in another. So each kind of value has a column
of its own, NULL for values of the other kinds, and a condition looks at all that it can match.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from urbancross_mm.structures.filters import AnyOf, Box, Compare, Condition, Filter, Tags

Kind = Literal['text', 'number', 'flag', 'words']
# Attributes with a column of their own in every store, and what they are by their meaning.
COLUMNS: dict[str, Kind] = dict(
    lon='number', lat='number', country='text', date='text', tags='words'
)
Value = str | float | bool
# An operator and what follows it: nothing after IS NOT NULL, perhaps several values after IN.
Test = tuple[str, Sequence[Value]]
KNOWN: Test = ('IS NOT NULL', ())
FLAGS = dict(true=True, false=False)
NEVER = 'FALSE'
_ENCODE = json.JSONEncoder(allow_nan=False).encode


class Dialect(ABC):
    """How a store spells columns and values."""

    @abstractmethod
    def column(self, name: str, kind: Kind) -> str | None:
        """The values of an attribute that are of a kind, NULL for others; None if there is none."""

    @abstractmethod
    def literal(self, value: Value) -> str:
        """A value, safely."""

    @abstractmethod
    def has(self, column: str, values: Sequence[str], every: bool) -> str:
        """Whether a list holds any, or all, of these."""

    def test(self, name: str, kind: Kind, tests: Sequence[Test]) -> str:
        """Whether the value of an attribute is of a kind and passes all tests."""
        column = self.column(name, kind)
        if column is None:
            return NEVER
        return all_of(
            f'{column} {operator} {self.right(operator, right)}' for operator, right in tests
        )

    def right(self, operator: str, values: Sequence[Value]) -> str:
        """What follows an operator."""
        literals = ', '.join(map(self.literal, values))
        return f'({literals})' if operator == 'IN' else literals


def compile_filter(where: Filter | None, dialect: Dialect) -> tuple[str, Filter]:
    """Compile a filter.

    Args:
        where (Filter | None): The filter.
        dialect (Dialect): Of the store.

    Returns:
        tuple[str, Filter]: The condition, and the circles and polygons that are left to check.
    """
    plain, places = (where or Filter(())).split()
    return all_of(_condition(part, dialect) for part in plain.conditions), places


def typed_values(attributes: Mapping[str, Any]) -> dict[tuple[str, Kind], Any]:
    """The values that a filter can look at, by name and kind.

    Args:
        attributes (Mapping): Of an item.

    Returns:
        dict: Text, numbers as floats, bools, and the strings of each list.

    Raises:
        ValueError: If a number is beyond those of a float.
    """
    values: dict[tuple[str, Kind], Any] = {}
    for name, value in attributes.items():
        if isinstance(value, bool):
            values[name, 'flag'] = value
        elif isinstance(value, str):
            values[name, 'text'] = value
        elif isinstance(value, (list, tuple)):
            values[name, 'words'] = [word for word in value if isinstance(word, str)]
        elif isinstance(value, (int, float)):
            try:
                values[name, 'number'] = float(value)
            except OverflowError:
                raise ValueError(f'the attribute {name!r} is too large for a number') from None
    return values


def attributes_text(item_id: str, attributes: Mapping[str, Any]) -> str:
    """Attributes as JSON.

    Args:
        item_id (str): Whose attributes.
        attributes (Mapping): The attributes.

    Returns:
        str: The text.

    Raises:
        ValueError: If JSON cannot hold them.
    """
    try:
        return _ENCODE(dict(attributes))
    except (TypeError, ValueError):
        for name, value in attributes.items():
            try:
                _ENCODE({name: value})
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f'attributes must be plain JSON values, {name!r} of {item_id!r} is not: {error}'
                ) from error
        raise


def _condition(part: Condition, dialect: Dialect) -> str:
    if isinstance(part, Compare):
        return _compare(part, dialect)
    if isinstance(part, AnyOf):
        return _any_of(part, dialect)
    if isinstance(part, Tags):
        column = dialect.column(part.name, 'words')
        return dialect.has(column, part.values, part.all) if column else NEVER
    if isinstance(part, Box):
        return _box(part, dialect)
    raise TypeError(f'SQL has no condition for {part!r}')


def _compare(part: Compare, dialect: Dialect) -> str:
    operator = '<>' if part.op == '!=' else part.op
    choices = [_ranges(part.name, part.text_ranges, dialect)]
    if part.number is not None:
        choices.append(dialect.test(part.name, 'number', [(operator, [part.number])]))
    elif part.op == '!=':
        choices.append(dialect.test(part.name, 'number', [KNOWN]))
    if part.op in ('=', '!=') and part.value in FLAGS:
        choices.append(dialect.test(part.name, 'flag', [(operator, [FLAGS[part.value]])]))
    elif part.op == '!=':
        choices.append(dialect.test(part.name, 'flag', [KNOWN]))
    return any_of(choices)


def _any_of(part: AnyOf, dialect: Dialect) -> str:
    flags = [FLAGS[value] for value in part.values if value in FLAGS]
    choices = []
    if part.numbers:
        choices.append(dialect.test(part.name, 'number', [('IN', part.numbers)]))
    if flags:
        choices.append(dialect.test(part.name, 'flag', [('IN', flags)]))
    if part.date_ranges is None:
        choices.append(dialect.test(part.name, 'text', [('IN', part.values)]))
    else:
        choices.append(_ranges(part.name, part.date_ranges, dialect))
    return any_of(choices)


def _ranges(name: str, ranges: Sequence[tuple[str | None, str | None]], dialect: Dialect) -> str:
    """Text in one of the ranges; texts are compared by their bytes."""
    return any_of(dialect.test(name, 'text', _range(*ends)) for ends in ranges)


def _range(start: str | None, end: str | None) -> list[Test]:
    """From start to before end. ``x`` + NUL is the text that follows x: PostgreSQL has no NUL."""
    if start is not None and end == start + '\0':
        return [('=', [start])]
    tests: list[Test] = []
    if start is not None:
        tests.append(('>', [start[:-1]]) if start.endswith('\0') else ('>=', [start]))
    if end is not None:
        tests.append(('<=', [end[:-1]]) if end.endswith('\0') else ('<', [end]))
    return tests


def _box(part: Box, dialect: Dialect) -> str:
    lons = [
        dialect.test('lon', 'number', [('>=', [west]), ('<=', [east])])
        for west, east in part.lon_ranges
    ]
    lat = dialect.test('lat', 'number', [('>=', [part.south]), ('<=', [part.north])])
    return all_of([any_of(lons), lat])


def any_of(parts: Iterable[str]) -> str:
    """Conditions joined by OR."""
    possible = [part for part in dict.fromkeys(parts) if part != NEVER]
    return f'({" OR ".join(possible)})' if len(possible) > 1 else ''.join(possible) or NEVER


def all_of(parts: Iterable[str]) -> str:
    """Conditions joined by AND."""
    parts = list(parts)
    if NEVER in parts:
        return NEVER
    return f'({" AND ".join(parts)})' if len(parts) > 1 else ''.join(parts) or 'TRUE'
