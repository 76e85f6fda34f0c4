"""Near-duplicates of an index, found in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from urbancross_mm.inference.stores import BaseStore, StoreItem
from urbancross_mm.utils.progress import track

# Rows that are compared with all earlier ones at once, and how many of these at a time.
OUTER, INNER = 16384, 2048


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
    count = len(store)
    leader = np.full(count, -1, dtype=np.int64)  # position of what an item repeats
    starts = range(0, count, OUTER)
    for start in track(starts, 'duplicates', unit='block') if progress else starts:
        rows = _rows(store, start, OUTER)
        for first, earlier in _blocks(store, start):
            free = leader[first : first + len(earlier)] < 0
            _note(leader, start, rows, first, earlier, free, above)
        _mark_within(leader, start, rows, above)
    _write(store, leader)
    return int((leader >= 0).sum())


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
    alike = (rows @ earlier.T >= above) & free
    found = alike.any(axis=1) & (leader[start : start + len(rows)] < 0)
    leader[start : start + len(rows)][found] = first + alike[found].argmax(axis=1)


def _mark_within(leader: np.ndarray, start: int, rows: np.ndarray, above: float) -> None:
    """The rows of one block among themselves, in order."""
    for first in range(0, len(rows), INNER):
        some = rows[first : first + INNER]
        alike = some @ rows[first:].T >= above
        for row in np.flatnonzero(np.triu(alike, 1).any(axis=1)):
            if leader[start + first + row] < 0:
                later = start + first + row + 1 + np.flatnonzero(alike[row, row + 1 :])
                later = later[leader[later] < 0]
                leader[later] = start + first + row


def _rows(store: BaseStore, start: int, number: int) -> np.ndarray:
    """Vectors of some items in the order of their ids."""
    rows: list[np.ndarray] = []
    for position, item in enumerate(store.items(embeds=True)):
        if position >= start + number:
            break
        if position >= start:
            rows.append(np.asarray(item.embed, dtype=np.float32))
    return np.stack(rows)


def _blocks(store: BaseStore, end: int) -> Iterator[tuple[int, np.ndarray]]:
    """Vectors of the items before a position, a block at a time."""
    rows: list[np.ndarray] = []
    for position, item in enumerate(store.items(embeds=True)):
        if position == end:
            break
        rows.append(np.asarray(item.embed, dtype=np.float32))
        if len(rows) == INNER or position == end - 1:
            yield position + 1 - len(rows), np.stack(rows)
            rows = []


def _write(store: BaseStore, leader: np.ndarray, batch: int = 256) -> None:
    """Write the marks that have changed."""
    wanted = set(leader[leader >= 0].tolist())
    names: dict[int, str] = {}
    changes: list[tuple[str, str | None]] = []
    for position, item in enumerate(store.items()):
        if position in wanted:
            names[position] = item.id
        name = names.get(int(leader[position]))
        if item.attributes.get('duplicate_of') != name:
            changes.append((item.id, name))
    for start in range(0, len(changes), batch):
        some = changes[start : start + batch]
        items = store.get([item_id for item_id, _ in some])
        store.update([_marked(item, name) for item, (_, name) in zip(items, some)])


def _marked(item: StoreItem, name: str | None) -> StoreItem:
    attributes = {key: value for key, value in item.attributes.items() if key != 'duplicate_of'}
    if name is not None:
        attributes['duplicate_of'] = name
    return StoreItem(item.id, None, attributes)
