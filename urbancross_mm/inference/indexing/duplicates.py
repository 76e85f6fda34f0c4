"""Near-duplicates of an index, found in bounded memory."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from urbancross_mm.inference.stores import BaseStore, StoreItem
from urbancross_mm.utils.progress import track

# Rows that are compared with all earlier ones at once, and how many of these at a time.
OUTER, INNER = 16384, 2048
BATCH = 256  # items that are written at once


def mark_duplicates(store: BaseStore, above: float, progress: bool = True) -> int:
    """Mark every item that is nearly the same as an earlier one.

    By ascending id, an item whose cosine with an earlier, unmarked item is at least ``above`` gets
    the attribute ``duplicate_of``: the id of the first of these. So the marks depend on the items
    alone, not on when they were added. The work grows with the square of the items.

    Args:
        store (BaseStore): The index.
        above (float): Least cosine.
        progress (bool): Show a progress bar. Defaults to True.

    Returns:
        int: Number of items that are marked.
    """
    # Others may write to a database meanwhile. What comes is ignored, what goes repeats nothing.
    ids = [item.id for item in store.items()]
    places = {item_id: position for position, item_id in enumerate(ids)}
    leader = np.full(len(ids), -1, dtype=np.int64)  # position of what an item repeats
    starts = range(0, len(ids), OUTER)
    for start in track(starts, 'duplicates', unit='block') if progress else starts:
        ((_, rows),) = _blocks(store, places, start, min(start + OUTER, len(ids)), OUTER)
        for first, earlier in _blocks(store, places, 0, start, INNER):
            free = leader[first : first + len(earlier)] < 0
            _note(leader, start, rows, first, earlier, free, above)
        _mark_within(leader, start, rows, above)
    _write(store, {ids[row]: ids[leader[row]] for row in np.flatnonzero(leader >= 0)}, places)
    return int((leader >= 0).sum())


def forget_duplicates_of(store: BaseStore, ids: Collection[str]) -> None:
    """Remove the marks that point at items, before these change or go.

    Args:
        store (BaseStore): The index.
        ids (Collection[str]): Of the items.
    """
    going = set(ids)
    if going:
        found = [i.id for i in store.items() if i.attributes.get('duplicate_of') in going]
        _change(store, [(item_id, None) for item_id in found])


def _note(
    leader: np.ndarray,
    start: int,
    rows: np.ndarray,
    first: int,
    earlier: np.ndarray,
    free: np.ndarray,
    above: float,
) -> None:
    """Note for rows that have none yet the first free one of some earlier rows."""
    close = (rows @ earlier.T >= above) & free
    found = close.any(axis=1) & (leader[start : start + len(rows)] < 0)
    leader[start : start + len(rows)][found] = first + close[found].argmax(axis=1)


def _mark_within(leader: np.ndarray, start: int, rows: np.ndarray, above: float) -> None:
    """The rows of one block among themselves, in order."""
    for first in range(0, len(rows), INNER):
        some = rows[first : first + INNER]
        close = some @ rows[first:].T >= above
        for row in np.flatnonzero(np.triu(close, 1).any(axis=1)):
            if leader[start + first + row] < 0:
                later = start + first + row + 1 + np.flatnonzero(close[row, row + 1 :])
                later = later[leader[later] < 0]
                leader[later] = start + first + row


def _blocks(
    store: BaseStore, places: Mapping[str, int], start: int, end: int, size: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Vectors from one position to another, a block at a time; zeros where an item has gone."""
    stream = ((places[i.id], i.embed) for i in store.items(embeds=True) if i.id in places)
    current = next(stream, None) if end > start else None
    for first in range(start, end, size):
        rows = np.zeros((min(size, end - first), store.width), dtype=np.float32)
        while current is not None and current[0] < first + len(rows):
            if current[0] >= first:
                rows[current[0] - first] = current[1]
            current = next(stream, None)
        yield first, rows


def _write(store: BaseStore, wanted: Mapping[str, str], places: Mapping[str, int]) -> None:
    """Write the marks that have changed."""
    changes = []
    for item in store.items():
        mark = wanted.get(item.id)
        if item.id in places and item.attributes.get('duplicate_of') != mark:
            changes.append((item.id, mark))
    _change(store, changes)


def _change(store: BaseStore, marks: Sequence[tuple[str, str | None]]) -> None:
    """Set marks of items, or take them away; an item that has gone is passed over."""
    for start in range(0, len(marks), BATCH):
        some = marks[start : start + BATCH]
        try:
            _change_batch(store, some)
        except KeyError:
            for one in some:
                with contextlib.suppress(KeyError):
                    _change_batch(store, [one])


def _change_batch(store: BaseStore, marks: Sequence[tuple[str, str | None]]) -> None:
    items = store.get([item_id for item_id, _ in marks])
    store.update([_marked(item, name) for item, (_, name) in zip(items, marks)])


def _marked(item: StoreItem, name: str | None) -> StoreItem:
    attributes = {key: value for key, value in item.attributes.items() if key != 'duplicate_of'}
    if name is not None:
        attributes['duplicate_of'] = name
    return StoreItem(item.id, None, attributes)
