"""A filter: conditions that must all hold."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from urbancross_mm.structures.filters.columns import Column
from urbancross_mm.structures.filters.conditions import AnyOf, Compare, Tags
from urbancross_mm.structures.filters.matching import (
    match_any_of,
    match_compare,
    match_place,
    match_tags,
)
from urbancross_mm.structures.filters.parsing import parse_condition
from urbancross_mm.structures.filters.places import Box, Near, Polygon

Condition = Compare | AnyOf | Tags | Box | Near | Polygon
Columns = Mapping[str, Sequence[Any] | np.ndarray | Column]
LONGEST_QUOTE = 200  # characters of a condition that a message repeats


class UnknownAttributeError(ValueError):
    """A filter on an attribute that no item has."""


@dataclass(frozen=True)
class Filter:
    """Conditions that must all hold; without any, every item passes.

    Args:
        conditions (tuple): The conditions. Defaults to ().

    Examples:
        >>> where = Filter.parse(['country=spain|germany', 'gsd<=0.5'])
        >>> where.matches(dict(country=['spain', 'italy', None], gsd=[0.3, 0.3, 0.3]), 3)
        array([ True, False, False])
    """

    conditions: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        # One of one is equal, and is written so.
        conditions = tuple(
            Compare(condition.name, '=', condition.values[0])
            if isinstance(condition, AnyOf) and len(condition.values) == 1
            else condition
            for condition in self.conditions
        )
        object.__setattr__(self, 'conditions', conditions)

    @classmethod
    def parse(cls, where: str | Sequence[str], files: bool = False) -> Filter:
        """Read condition strings.

        Args:
            where (str | Sequence[str]): Conditions; those of one string stand on lines.
            files (bool): Whether ``polygon=@FILE`` may read files; never for strings that come
                over a network. Defaults to False.

        Returns:
            Filter: All of them.

        Raises:
            ValueError: If one is wrong; the message repeats it.
        """
        if isinstance(where, str):
            where = [line for line in where.split('\n') if line.strip()]
        conditions: list[Condition] = []
        for text in where:
            try:
                conditions += parse_condition(text, files)
            except ValueError as error:
                raise ValueError(
                    f'cannot read the filter {_short(str(text))!r}: {_short(str(error))}'
                ) from error
        return cls(tuple(conditions))

    def __str__(self) -> str:
        """Condition strings joined by newlines, which :meth:`parse` reads back."""
        return '\n'.join(map(str, self.conditions))

    @property
    def names(self) -> list[str]:
        """list[str]: The attributes that it looks at."""
        names: dict[str, None] = {}
        for condition in self.conditions:
            place = isinstance(condition, Box | Near | Polygon)
            names.update(dict.fromkeys(('lon', 'lat') if place else (condition.name,)))  # type: ignore[union-attr]
        return list(names)

    def check_names(self, known: Iterable[str]) -> None:
        """Refuse a filter on an attribute that no item has, which is mostly a misspelling.

        Args:
            known (Iterable[str]): Attributes that some item has.

        Raises:
            UnknownAttributeError: If one is not among them.
        """
        known = sorted(known)
        for name in self.names:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f'did you mean {near[0]!r}?' if near else f'they have {", ".join(known)}'
                raise UnknownAttributeError(
                    f'no item has the attribute {name!r} of the filter: {hint}'
                )

    def split(self) -> tuple[Filter, Filter]:
        """Split into what a database can decide and what must be refined afterwards.

        Returns:
            tuple[Filter, Filter]: Comparisons, tags and boxes, to which the bounding box of every
            circle and polygon is added; and the circles and polygons. Both must hold.
        """
        shapes = [c for c in self.conditions if isinstance(c, Near | Polygon)]
        plain = [c for c in self.conditions if not isinstance(c, Near | Polygon)]
        return Filter((*plain, *(shape.bounds for shape in shapes))), Filter(tuple(shapes))

    def matches(self, columns: Columns, rows: int) -> np.ndarray:
        """Find the rows that pass.

        Args:
            columns (Mapping): Values of each attribute, None where a row lacks it; a
                :class:`Column` saves coding them again. One that is not there is all None.
            rows (int): Number of rows.

        Returns:
            np.ndarray: One bool per row.
        """
        coded = {name: _column(columns.get(name), rows) for name in self.names}
        mask = np.ones(rows, dtype=bool)
        for condition in self.conditions:
            mask &= _match(condition, coded)
        return mask


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + '...'


def _column(values: Any, rows: int) -> Column:
    if isinstance(values, Column):
        return values
    return Column([None] * rows if values is None else values)


def _match(condition: Condition, columns: Mapping[str, Column]) -> np.ndarray:
    if isinstance(condition, Box | Near | Polygon):
        return match_place(condition, columns)
    column = columns[condition.name]
    if isinstance(condition, Compare):
        return column.by_row(match_compare(condition, column))
    if isinstance(condition, AnyOf):
        return column.by_row(match_any_of(condition, column))
    return column.by_row(match_tags(condition, column))
