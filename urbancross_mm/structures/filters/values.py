"""Names and values in condition strings: their forms, quotes and separators."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from numbers import Real
from typing import Any

# None of the patterns may try a text in more than one way: it can come over a network.
NUMBER = r'[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?'
TIME = r'T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:\d\d)?'
DATE = rf'\d{{4}}(?:-\d\d(?:-\d\d(?:{TIME})?)?)?'
QUOTED = r'"(?:[^"\\]|\\.)*"'
_RANGE_END = re.compile(rf'(?:{DATE}|{NUMBER})?', re.ASCII)
_MUST_QUOTE = re.compile(r'^["=!<>~]|^\s|\s$|^$|[|+\x00-\x1f]|\.\.')
_NAME_MUST_QUOTE = re.compile(r'["=!<>~\[\]\x00-\x1f]|^\s|\s$|^$')


def text_of(value: Any) -> str:
    """A value as the text it has in a condition."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, Real) and math.isfinite(value):
        number = float(value)
        return str(int(number)) if number.is_integer() else repr(number)
    raise ValueError(f'a value must be a string, a finite number or a bool, got {value!r}')


def number_of(text: str) -> float | None:
    """The number that a text looks like."""
    number = float(text) if re.fullmatch(NUMBER, text, re.ASCII) else math.nan
    return number if math.isfinite(number) else None


def check_date(text: str) -> None:
    """Refuse what is no ISO 8601 date, perhaps cut to its year or month."""
    try:
        if not re.fullmatch(DATE, text, re.ASCII):
            raise ValueError
        datetime.fromisoformat(text + '0000-01-01'[len(text) :])
    except ValueError:
        raise ValueError(
            f'a date is written 2021, 2021-06, 2021-06-30 or 2021-06-30T12:00:00Z, got {text!r}'
        ) from None


def split_range(text: str) -> tuple[str, str] | None:
    """Both ends of ``from..to``, '' for one that is left out; None if it is another value."""
    low, dots, high = text.partition('..')
    low, high = low.strip(), high.strip()
    if not dots or not all(map(_RANGE_END.fullmatch, (low, high))):
        return None
    if not low and not high:
        raise ValueError(f'a range has a start or an end, got {text!r}')
    numbers = number_of(low), number_of(high)
    ends = (low, high) if None in numbers else numbers
    if low and high and ends[0] > ends[1] and not low.startswith(high):  # type: ignore[operator]
        raise ValueError(f'a range starts before it ends, got {text!r}')
    return low, high


def split_values(text: str, separators: str) -> tuple[list[str], set[str]]:
    """Values between separators, without their quotes, and the separators that occur."""
    pattern = re.compile(rf'(?:\s*({QUOTED})\s*|([^{separators}]*))(?:([{separators}])|\Z)', re.S)
    values: list[str] = []
    used: set[str] = set()
    position = 0
    while True:
        match = pattern.match(text, position)
        bare = '' if match is None else (match[2] or '').strip()
        if match is None or bare.startswith('"'):
            raise ValueError(f'a quote is not closed, or text follows it: {text[position:]}')
        if match[1] is None and not bare:
            raise ValueError('a value is missing; write "" for an empty string')
        values.append(bare if match[1] is None else unquote(match[1]))
        if match[3] is None:
            return values, used
        used.add(match[3])
        position = match.end()


def unquote(text: str) -> str:
    """The content of a JSON string."""
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        raise ValueError(f'text in double quotes must be a JSON string, got {text}') from None


def quote(text: str) -> str:
    """A value as it is written in a condition."""
    return json.dumps(text, ensure_ascii=False) if _MUST_QUOTE.search(text) else text


def quote_name(name: str, reserved: tuple[str, ...]) -> str:
    """A name as it is written in a condition."""
    if name in reserved or _NAME_MUST_QUOTE.search(name):
        return json.dumps(name, ensure_ascii=False)
    return name
