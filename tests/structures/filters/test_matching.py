"""What passes a filter on values, against plain Python."""

import operator
from typing import Any

import numpy as np
import pytest

from urbancross_mm.structures.filters import AnyOf, Column, Compare, Filter, Tags

VALUES = [None, 'spain', 'Spain', 'germany', '7', '07', 'true', '', 7, 7.5, -1, 0, True, False,
          ['a', 'b'], ['a'], [], [7], dict(a=1), float('nan'), 2**60]  # fmt: skip
WANTED = ['spain', '7', '07', '7.0', 'true', 'false', '', 'x', '-1', '1e0', '0', 'nan', '1_0']


def passing(where: str | Filter, values: list[Any], name: str = 'a') -> list[Any]:
    where = Filter.parse([where]) if isinstance(where, str) else where
    mask = where.matches({name: values}, len(values))
    return [value for value, passes in zip(values, mask) if passes]


def as_number(text: str) -> float | None:
    try:
        return None if text == 'nan' or '_' in text else float(text)
    except ValueError:
        return None


def compares(value: Any, op: str, text: str) -> bool:
    """The rule in plain Python."""
    decide = dict(zip(('=', '!=', '<', '<=', '>', '>='), map(operator.__dict__.get, ('eq', 'ne', 'lt', 'le', 'gt', 'ge'))))[op]  # fmt: skip  # noqa: E501
    if isinstance(value, bool):
        return op in ('=', '!=') and decide('true' if value else 'false', text)
    if isinstance(value, str):
        return decide(value, text)
    if isinstance(value, int | float) and value == value:
        number = as_number(text)
        return op == '!=' if number is None else decide(float(value), number)
    return False


@pytest.mark.parametrize('op', ['=', '!=', '<', '<=', '>', '>='])
@pytest.mark.parametrize('text', WANTED)
def test_comparisons_equal_plain_python(op: str, text: str) -> None:
    expected = [repr(value) for value in VALUES if compares(value, op, text)]
    found = passing(Filter((Compare('a', op, text),)), VALUES)
    assert [repr(value) for value in found] == expected


def test_any_of_equals_plain_python() -> None:
    expected = [v for v in VALUES if any(compares(v, '=', text) for text in WANTED[:6])]
    found = passing(Filter((AnyOf('a', tuple(WANTED[:6])),)), VALUES)
    assert list(map(repr, found)) == list(map(repr, expected))


def test_tags() -> None:
    values = [['a', 'b'], ['b', 'c', 'b'], ['a'], [], None, 'a', [1, 'a', None], ['A'], ('a', 'b')]
    assert passing('a[]=a', values) == [['a', 'b'], ['a'], [1, 'a', None], ('a', 'b')]
    assert passing('a[]=a|c', values) == [['a', 'b'], ['b', 'c', 'b'], ['a'], [1, 'a', None],
                                          ('a', 'b')]  # fmt: skip
    assert passing('a[]=a+b', values) == [['a', 'b'], ('a', 'b')]
    assert passing(Filter((Tags('a', ('x', 'y'), all=False),)), values) == []


DATES = ['2019', '2020-12', '2020-12-31', '2021-01-01T00:00:00Z', '2021', '2021-05', '2021-06',
         '2021-06-01', '2021-06-30T23:59:59Z', '2021-07', '2021-07-01', '2022', None]  # fmt: skip


@pytest.mark.parametrize(
    'where, expected',
    [
        ('date=2021-06', ['2021-06', '2021-06-01', '2021-06-30T23:59:59Z']),
        ('date=2021-01..2021-06', ['2021-01-01T00:00:00Z', '2021-05', '2021-06', '2021-06-01',
                                   '2021-06-30T23:59:59Z']),
        ('date<=2020', ['2019', '2020-12', '2020-12-31']),
        ('date<2020-12', ['2019']),
        ('date>2021-06', ['2021-07', '2021-07-01', '2022']),
        ('date>=2021-06-30', ['2021-06-30T23:59:59Z', '2021-07', '2021-07-01', '2022']),
        ('date=2019|2021-07', ['2019', '2021-07', '2021-07-01']),
        ('date!=2021', ['2019', '2020-12', '2020-12-31', '2022']),
    ],
)  # fmt: skip
def test_a_date_is_a_period(where: str, expected: list[str]) -> None:
    assert passing(where, DATES, 'date') == expected
    # What a database is told says the same.
    for condition in Filter.parse([where]).conditions:
        told = [
            date
            for date in DATES[:-1]
            if any(
                (start is None or start <= date) and (end is None or date < end)
                for start, end in condition.date_ranges
            )
        ]
        assert told == passing(Filter((condition,)), DATES, 'date')


def test_only_the_attribute_date_has_periods() -> None:
    assert passing('day<=2021-06', DATES, 'day') == DATES[:7]
    assert Compare('day', '<=', '2021-06').date_ranges is None
    assert passing('date=2021', [2021, 2020, '2021-01'], 'date') == [2021, '2021-01']


def test_all_conditions_must_hold() -> None:
    columns = dict(country=['spain', 'spain', 'italy', None], gsd=np.array([0.1, 0.5, 0.1, 0.1]))
    where = Filter.parse(['country!=france', 'gsd<0.3'])
    assert where.matches(columns, 4).tolist() == [True, False, True, False]
    assert Filter().matches({}, 3).tolist() == [True] * 3
    assert where.matches(dict(gsd=[0.1]), 1).tolist() == [False]
    assert where.matches(dict(country=[], gsd=[]), 0).shape == (0,)


def test_a_column_is_coded_once() -> None:
    column = Column(VALUES)
    assert len(column) == len(VALUES)
    where = Filter.parse('a!=spain')
    assert (where.matches(dict(a=column), 21) == where.matches(dict(a=VALUES), 21)).all()
