"""Conditions on the value of an attribute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from urbancross_mm.structures.filters.values import (
    check_date,
    number_of,
    quote,
    quote_name,
    text_of,
)

OPERATORS = ('=', '!=', '<', '<=', '>', '>=')
DATE_NAME, TAGS_NAME = 'date', 'tags'
# Unquoted these are no attributes that a comparison could name.
RESERVED = (TAGS_NAME, 'bbox', 'near', 'polygon')
# A text range, start included and end not; None is open.
TextRange = tuple[str | None, str | None]


@dataclass(frozen=True)
class Compare:
    """``name op value``.

    Args:
        name (str): Attribute.
        op (str): One of ``= != < <= > >=``.
        value (str): Number and bool are accepted too and kept as text.

    Raises:
        ValueError: If the operator is unknown, or the value of ``date`` is no date.

    Examples:
        >>> str(Compare('gsd', '<=', 0.5))
        'gsd<=0.5'
    """

    name: str
    op: str
    value: str

    def __post_init__(self) -> None:
        if self.op not in OPERATORS:
            raise ValueError(f'an operator is one of {" ".join(OPERATORS)}, got {self.op!r}')
        object.__setattr__(self, 'value', text_of(self.value))
        _check(self.name, [self.value])

    @property
    def number(self) -> float | None:
        """float | None: What numeric attributes are compared with; None: ``!=`` holds, no other."""
        return number_of(self.value)

    @property
    def date_ranges(self) -> list[TextRange] | None:
        """list | None: Of ``date`` the ranges of texts, one of which must hold the attribute."""
        return self.text_ranges if self.name == DATE_NAME else None

    @property
    def text_ranges(self) -> list[TextRange]:
        """list: The comparison with strings, as ranges one of which must hold the attribute."""
        start, end = self.value, end_of(self.name, self.value)
        ranges: dict[str, list[TextRange]] = {
            '=': [(start, end)],
            '!=': [(None, start), (end, None)],
            '<': [(None, start)],
            '<=': [(None, end)],
            '>': [(end, None)],
            '>=': [(start, None)],
        }
        return ranges[self.op]

    def __str__(self) -> str:
        return f'{quote_name(self.name, RESERVED)}{self.op}{quote(self.value)}'


@dataclass(frozen=True)
class AnyOf:
    """The value is one of these.

    Args:
        name (str): Attribute.
        values (tuple): Strings; numbers and bools are accepted too and kept as text.

    Raises:
        ValueError: If there is none, or one of ``date`` is no date.
    """

    name: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, 'values', tuple(map(text_of, self.values)))
        _check(self.name, self.values)

    @property
    def numbers(self) -> list[float]:
        """list[float]: What numeric attributes are compared with."""
        return [number for value in self.values if (number := number_of(value)) is not None]

    @property
    def date_ranges(self) -> list[TextRange] | None:
        """list | None: Of ``date`` the ranges of texts, one of which must hold the attribute."""
        if self.name != DATE_NAME:
            return None
        return [(value, end_of(self.name, value)) for value in self.values]

    def __str__(self) -> str:
        return f'{quote_name(self.name, RESERVED)}={"|".join(map(quote, self.values))}'


@dataclass(frozen=True)
class Tags:
    """The list attribute holds any, or all, of these strings.

    Args:
        name (str): Attribute, mostly ``tags``.
        values (tuple[str]): The tags.
        all (bool): Whether all must be there, or any of them suffices.

    Raises:
        ValueError: If there is no tag, or one is no string.
    """

    name: str
    values: tuple[str, ...]
    all: bool

    def __post_init__(self) -> None:
        if isinstance(self.values, str) or not all(isinstance(tag, str) for tag in self.values):
            raise ValueError(f'tags must be a tuple of strings, got {self.values!r}')
        object.__setattr__(self, 'values', tuple(self.values))
        # All of one is any of one; the two must be equal.
        object.__setattr__(self, 'all', bool(self.all) and len(self.values) > 1)
        _check_name_and_values(self.name, self.values)

    def __str__(self) -> str:
        name = TAGS_NAME if self.name == TAGS_NAME else quote_name(self.name, RESERVED) + '[]'
        return f'{name}={("+" if self.all else "|").join(map(quote, self.values))}'


def end_of(name: str, value: str) -> str:
    """The first text after a value; of a date after all that begin with it, such as its days."""
    return value + ('~' if name == DATE_NAME else '\0')


def _check_name_and_values(name: str, values: Sequence[str]) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(f'a condition needs the name of an attribute, got {name!r}')
    if not values:
        raise ValueError(f'{name} needs a value, got none')


def _check(name: str, values: Sequence[str]) -> None:
    _check_name_and_values(name, values)
    if name == DATE_NAME:
        for value in values:
            check_date(value)
