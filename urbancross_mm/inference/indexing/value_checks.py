"""Checks of attributes that filters and maps rely on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from urbancross_mm.structures.filters.values import check_date


def check_values(values: Mapping[str, Any], where: str) -> None:
    """Refuse a date or a place of a table that no filter could find.

    Args:
        values (Mapping): Attributes of one item.
        where (str): File and row, for the message.

    Raises:
        ValueError: If ``date`` is no ISO 8601 date, ``lat``, ``lon`` or ``bounds`` are no degrees,
            or ``window`` is no window.
    """
    for name, (fits, what) in _CHECKS.items():
        if name in values and not fits(values[name]):
            raise ValueError(f'{where}: {name!r} must be {what}, got {values[name]!r}')


def _is_date(value: Any) -> bool:
    try:
        check_date(str(value))
    except ValueError:
        return False
    return True


def _is_within(value: Any, most: float) -> bool:
    number = isinstance(value, Real) and not isinstance(value, bool)
    return number and math.isfinite(value) and abs(value) <= most


def _is_box(value: Any) -> bool:
    if not isinstance(value, Sequence) or len(value) != 4:
        return False
    fits = all(_is_within(side, most) for side, most in zip(value, (180, 90, 180, 90)))
    return fits and value[1] <= value[3]


def _is_window(value: Any) -> bool:
    if not isinstance(value, Sequence) or len(value) != 4:
        return False
    whole = all(isinstance(side, Integral) and not isinstance(side, bool) for side in value)
    return whole and min(value[:2]) >= 0 and min(value[2:]) >= 1


_CHECKS = dict(
    date=(_is_date, 'a date such as 2021, 2021-06, 2021-06-30 or 2021-06-30T12:00:00Z'),
    lat=(lambda value: _is_within(value, 90), 'a number of degrees from -90 to 90'),
    lon=(lambda value: _is_within(value, 180), 'a number of degrees from -180 to 180'),
    bounds=(_is_box, 'a list of west, south, east and north in degrees'),
    window=(_is_window, 'a list of column, row, width and height in pixels'),
)
