"""What the page says of an index: names, values and examples that the index really has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.serving.fakes import fake_items
from urbancross_mm.inference.stores import StoreItem, TorchStore
from urbancross_mm.serving.overview import Overview
from urbancross_mm.structures.filters import Filter


def store_of(*attributes: Mapping[str, Any]) -> TorchStore:
    store = TorchStore()
    store.add(
        [StoreItem(f'{n}', np.ones(2, np.float32), about) for n, about in enumerate(attributes)]
    )
    return store


VARIED = (
    dict(country='spain', gsd=0.3, date='2021-06-30', classes=['a|b', 'c'], cloudy=True, lon=2.1,
         lat=41.3, note='=1', img_path='a.png'),
    dict(country='germany', gsd=0.5, date='2020-01-01', classes=['c'], cloudy=False, note='=1'),
    dict(country='germany', tags=['+', 'x'], **{'has "quotes"': 'yes'}),
    dict(country='spain', tags=['x', '+'], **{'has "quotes"': 'yes'}),
)  # fmt: skip


def test_every_example_finds_an_item() -> None:
    store = store_of(*VARIED)
    conditions = Overview.of(store).conditions
    assert len(conditions) == 5
    for condition in conditions:
        assert store.count(Filter.parse([condition])) > 0, condition
    assert any(condition.startswith('near=2.1') for condition in conditions)
    assert any(condition.startswith('date>=2021') for condition in conditions)


def test_every_value_has_a_condition_that_finds_it() -> None:
    store = store_of(*VARIED)
    attributes = {attribute.name: attribute for attribute in Overview.of(store).attributes}
    assert set(attributes) == {'country', 'gsd', 'date', 'classes', 'cloudy', 'lon', 'lat', 'note',
                               'tags', 'has "quotes"'}  # fmt: skip
    assert attributes['classes'].condition('a|b') == 'classes[]="a|b"'
    counts = {'spain': 2, 'germany': 2, '=1': 2, 'yes': 2, '+': 2, 'x': 2}
    for attribute in attributes.values():
        for value in attribute.values:
            found = store.count(Filter.parse([attribute.condition(value)]))
            assert found == counts[value], (attribute.name, value)
    assert attributes['cloudy'].kind == 'other'


def test_nothing_is_named_that_the_index_lacks() -> None:
    overview = Overview.of(store_of(dict(img_path='a.png', duplicate_of=None)))
    assert overview == Overview(None, [], [])
    assert overview.conditions == [] and overview.examples == []
    assert Overview.of(TorchStore()).conditions == []


@pytest.mark.parametrize(
    ('lons', 'west_east'),
    [
        ((2.0, 24.0), (2.0, 24.0)),
        ((179.0, -178.0), (179.0, -178.0)),
        ((-178.0, 179.0, 170.0), (170.0, -178.0)),
        ((-170.0, 0.0, 170.0), (0.0, -170.0)),
    ],
)
def test_the_box_is_the_smallest(lons: tuple[float, ...], west_east: tuple[float, float]) -> None:
    bounds = Overview.of(store_of(*(dict(lon=lon, lat=5.0) for lon in lons))).bounds
    assert (bounds[0], bounds[2]) == west_east and bounds[1] == bounds[3] == 5.0


def test_footprints_may_cross_the_antimeridian() -> None:
    about = dict(lon=180.0, lat=0.0, bounds=[179.5, -1.0, -179.5, 1.0])
    assert Overview.of(store_of(about)).bounds == (179.5, -1.0, -179.5, 1.0)


def test_values_that_cannot_be_examples_are_left_out() -> None:
    overview = Overview.of(store_of(dict(date='last summer', size={'w': 1}, lon='x', lat='y')))
    assert overview.conditions == [] and overview.bounds is None


def test_phrases_are_captions_and_tags(tmp_path: Path) -> None:
    store = TorchStore()
    store.add(fake_items(tmp_path, 1))
    overview = Overview.of(store)
    assert overview.phrases[0] == 'tile'
    assert set(overview.examples) == {f'some {word} near the road' for word in
                                      ('forest', 'harbor', 'houses', 'river')}  # fmt: skip
