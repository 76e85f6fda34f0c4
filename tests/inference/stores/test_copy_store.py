"""Copies hold what their sources hold, also after a stop."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.inference.stores.conftest import NUMBERS
from tests.inference.stores.oracle import make_items
from urbancross_mm.inference.stores import (
    BaseStore,
    StoreItem,
    TorchStore,
    copy_store,
    open_store,
)

ITEMS = make_items(2500)


@pytest.fixture(scope='module')
def source() -> Iterator[BaseStore]:
    with TorchStore(fingerprint='model') as store:
        store.add(ITEMS[::-1])
        yield store


@pytest.fixture(params=['folder', 'lance', 'postgres'])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == 'postgres':
        return f'{request.getfixturevalue("postgres")}?table=copy_{next(NUMBERS)}'
    return str(tmp_path / ('copy.lance' if request.param == 'lance' else 'copy'))


def same_items(ones: Iterable[StoreItem], others: Iterable[StoreItem]) -> bool:
    return all(
        a.id == b.id and a.attributes == b.attributes and np.array_equal(a.embed, b.embed)
        for a, b in zip(ones, others, strict=True)
    )


def test_a_copy_that_was_stopped_goes_on(source: BaseStore, location: str) -> None:
    counts: list[int] = []

    def stop(items: int) -> None:
        counts.append(items)
        if len(counts) == 2:
            raise KeyboardInterrupt

    with open_store(location, 'model', create=True) as target:
        with pytest.raises(KeyboardInterrupt):
            copy_store(source, target, stop)
        assert len(target) == 2000
        assert copy_store(source, target, counts.append) == (500, 0)
        assert counts == [1000, 1000, 1000, 1000, 500]
        assert same_items(source.items(embeds=True), target.items(embeds=True))


def test_changed_items_are_updated_and_others_stay(location: str) -> None:
    with (
        TorchStore(fingerprint='model') as source,
        open_store(location, 'model', create=True) as target,
    ):
        source.add([StoreItem(i, np.ones(4), dict(n=1)) for i in 'bcdf'])
        target.add([StoreItem(i, np.ones(4), dict(n=1)) for i in 'abcd'])
        source.update([StoreItem('c', None, dict(n=2)), StoreItem('d', -np.ones(4), dict(n=1))])
        assert copy_store(source, target) == (1, 2)
        assert [item.id for item in target.items()] == list('abcdf')
        assert same_items(source.get(['c', 'd']), target.get(['c', 'd']))
        assert copy_store(source, target) == (0, 0)


def test_half_precision_counts_as_equal(source: BaseStore) -> None:
    with TorchStore(fingerprint='model', dtype='float16') as target:
        assert copy_store(source, target) == (2500, 0)
        assert copy_store(source, target) == (0, 0)


def test_another_model_is_refused(source: BaseStore) -> None:
    with TorchStore(fingerprint='other') as target:
        with pytest.raises(ValueError, match="'model'.*'other'"):
            copy_store(source, target)
        assert len(target) == 0
