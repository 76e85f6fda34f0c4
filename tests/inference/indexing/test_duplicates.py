"""The blockwise pass marks what a loop over all pairs marks."""

from __future__ import annotations

import numpy as np
import pytest

from urbancross_mm.inference.indexing import duplicates
from urbancross_mm.inference.indexing.duplicates import mark_duplicates
from urbancross_mm.inference.stores import StoreItem, TorchStore


def store_of(rows: np.ndarray) -> TorchStore:
    store = TorchStore()
    store.add([StoreItem(f'{n:04d}', row, dict(n=n)) for n, row in enumerate(rows)])
    return store


def naive_marks(rows: np.ndarray, above: float) -> dict[str, str]:
    leaders, marks = [], {}
    for n, row in enumerate(rows):
        first = next((leader for leader in leaders if row @ rows[leader] >= above), None)
        if first is None:
            leaders.append(n)
        else:
            marks[f'{n:04d}'] = f'{first:04d}'
    return marks


def marks_of(store: TorchStore) -> dict[str, str]:
    marks = {item.id: item.attributes.get('duplicate_of') for item in store.items()}
    return {key: value for key, value in marks.items() if value}


@pytest.mark.parametrize(('outer', 'inner'), [(16384, 2048), (50, 7), (7, 50), (1, 1), (64, 64)])
def test_blocks_of_any_size(monkeypatch, outer: int, inner: int) -> None:
    monkeypatch.setattr(duplicates, 'OUTER', outer)
    monkeypatch.setattr(duplicates, 'INNER', inner)
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(40, 3))[generator.integers(0, 40, 150)]
    rows = rows + 0.15 * generator.normal(size=rows.shape)  # chains of near ones
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    store = store_of(rows)
    expected = naive_marks(rows, 0.98)
    assert 30 < len(expected) < 140
    assert mark_duplicates(store, 0.98, progress=False) == len(expected)
    assert marks_of(store) == expected
    # A stricter pass takes marks away; other attributes stay.
    mark_duplicates(store, 0.9999, progress=False)
    assert marks_of(store) == naive_marks(rows, 0.9999)
    assert [item.attributes['n'] for item in store.items()] == list(range(150))


def test_items_come_and_go_meanwhile(monkeypatch) -> None:
    """Another process may write to a database between two passes."""
    monkeypatch.setattr(duplicates, 'OUTER', 2)
    rows = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [1, 0]], dtype=np.float32)
    store = store_of(rows)
    read, passes = store.items, []

    def items(*args, **kwargs):
        passes.append(1)
        if len(passes) == 3:
            store.add([StoreItem('0000b', rows[1], {})])
            store.delete(['0003'])
        return read(*args, **kwargs)

    monkeypatch.setattr(store, 'items', items)
    mark_duplicates(store, 0.99, progress=False)
    assert marks_of(store) == {'0002': '0000', '0004': '0000'}


def test_an_empty_store() -> None:
    assert mark_duplicates(TorchStore(), 0.9, progress=False) == 0
