"""Exact search in plain torch, in memory or in a folder."""

from __future__ import annotations

import contextlib
import heapq
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from urbancross_mm.inference.stores.base_store import BaseStore, StoreHit, StoreItem
from urbancross_mm.inference.stores.item_checks import (
    check_attributes,
    check_embeds,
    check_fingerprint,
    check_ids,
    check_query,
)
from urbancross_mm.inference.stores.memory_parts import MemoryParts
from urbancross_mm.inference.stores.part_files import FolderParts
from urbancross_mm.inference.stores.parts import (
    DTYPES,
    Part,
    Rows,
    merged_embeds,
    merged_order,
    merged_table,
    table_of,
)
from urbancross_mm.inference.stores.snapshot import Place, Snapshot
from urbancross_mm.structures.filters import Filter

# Parts of fewer rows are merged when so many of them are the last ones.
SMALL_ROWS, MOST_SMALL = 4096, 16


class TorchStore(BaseStore):
    """Exact search, for up to a few million items.

    A write adds a part or marks rows as deleted; :meth:`compact` merges the parts. One process
    may write, from its first write until it closes the store. Others see what was there when they
    opened it or called :meth:`refresh`.

    Args:
        location (str | Path | None): A folder. Defaults to None: in memory.
        fingerprint (str | None): What the store must have; a new one gets it. Defaults to None:
            any, '' for a new one.
        create (bool): Whether to make the store if there is none. Defaults to False.
        read_only (bool): Whether to refuse writes. Defaults to False.
        dtype (str): How a new store keeps vectors, ``'float32'`` or ``'float16'`` (half the size,
            rounding of about 5e-4 of each value). Defaults to 'float32'.

    Raises:
        ValueError: If there is no store, it is damaged, of another format or another fingerprint.

    Examples:
        >>> store = TorchStore()
        >>> store.add([StoreItem('a', np.array([1.0, 0.0]), dict(country='spain'))])
        >>> store.search(np.array([1.0, 0.0]), where=Filter.parse('country=spain'))
        [StoreHit(id='a', score=1.0, attributes={'country': 'spain'})]
    """

    def __init__(
        self,
        location: str | Path | None = None,
        fingerprint: str | None = None,
        create: bool = False,
        read_only: bool = False,
        dtype: str = 'float32',
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f'dtype must be one of {DTYPES}, got {dtype!r}')
        self._read_only, self._mutex, self._version = read_only, threading.RLock(), 0
        if location is None:
            self._parts: FolderParts | MemoryParts = MemoryParts()
            self._snapshot = Snapshot(fingerprint or '', dtype)
            return
        self._parts = FolderParts(Path(location))
        if create and not read_only:
            self._parts.create(fingerprint or '', dtype)
        self._snapshot = self._parts.load(None)
        if fingerprint is not None:
            check_fingerprint(self.fingerprint, fingerprint, str(location))

    @property
    def fingerprint(self) -> str:  # type: ignore[override]
        """str: Names the weights and the pipeline that made the vectors."""
        return self._snapshot.fingerprint

    @property
    def width(self) -> int:  # type: ignore[override]
        """int: D of the vectors; 0 while the store is empty."""
        return self._snapshot.width

    def refresh(self) -> None:
        """See what another process has written meanwhile.

        Raises:
            ValueError: If the store is damaged or gone, or another model has made it again.
        """
        with self._mutex:
            self._take(self._parts.load(self._snapshot))

    def version(self) -> int:
        """Number of changes that were seen; see :meth:`BaseStore.version`."""
        return self._version

    def add(self, items: Sequence[StoreItem]) -> None:
        """Add items; see :meth:`BaseStore.add`."""
        if not items:
            return
        with self._writing() as now:
            ids = [item.id for item in items]
            check_ids(ids)
            check_ids(ids, now.find(ids))
            check_attributes(items)
            self._commit(self._appended(now.parts, items, now))

    def update(self, items: Sequence[StoreItem]) -> None:
        """Replace items; see :meth:`BaseStore.update`."""
        if not items:
            return
        with self._writing() as now:
            ids = [item.id for item in items]
            check_ids(ids)
            check_attributes(items)
            places = now.find_all(ids)
            whole = [
                replace(item, embed=now.embed(place)) if item.embed is None else item
                for item, place in zip(items, places)
            ]
            check_embeds(whole, now.width, now.dtype)  # before anything is written
            self._commit(self._appended(self._without(now, places), whole, now))

    def delete(self, ids: Sequence[str]) -> int:
        """Delete items; see :meth:`BaseStore.delete`."""
        with self._writing() as now:
            places = now.find(ids)
            if places:
                self._commit(self._without(now, places.values()))
        return len(places)

    def search(
        self,
        vector: np.ndarray,
        topk: int = 10,
        where: Filter | None = None,
        offset: int = 0,
    ) -> list[StoreHit]:
        """Find the best items; see :meth:`BaseStore.search`."""
        now = self._snapshot
        query = check_query(vector, now.width, topk, offset)
        now.check(where)
        return now.search(query, topk, where, offset)

    def get(self, ids: Sequence[str]) -> list[StoreItem]:
        """Items by id; see :meth:`BaseStore.get`."""
        now = self._snapshot
        return [
            StoreItem(item_id, now.embed((number, row)), now.parts[number].rows.records([row])[0])
            for item_id, (number, row) in zip(ids, now.find_all(ids))
        ]

    def count(self, where: Filter | None = None) -> int:
        """Number of items; see :meth:`BaseStore.count`."""
        now = self._snapshot
        now.check(where)
        return sum(int(np.count_nonzero(part.passing(where))) for part in now.parts)

    def items(self, where: Filter | None = None, embeds: bool = False) -> Iterator[StoreItem]:
        """All items by ascending id; see :meth:`BaseStore.items`."""
        now = self._snapshot
        now.check(where)
        streams = [now.read(number, where, embeds) for number in range(len(now.parts))]
        return heapq.merge(*streams, key=lambda item: item.id)

    def compact(self) -> None:
        """Merge all parts into one, without the deleted items."""
        with self._writing() as now:
            if len(now.parts) > 1 or not all(part.alive.all() for part in now.parts):
                self._commit((self._write(now.parts, now.dtype),))

    def close(self) -> None:
        """Let another process write."""
        with self._mutex:
            self._parts.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Snapshot]:
        """The newest snapshot, with nobody else writing."""
        if self._read_only:
            raise ValueError('the store was opened for reading only')
        with self._mutex:
            if self._parts.acquire():
                try:
                    self.refresh()
                    self._parts.sweep(self._snapshot)
                except BaseException:
                    self._parts.close()  # the next write must look again
                    raise
            yield self._snapshot

    def _commit(self, parts: Sequence[Part]) -> None:
        after = Snapshot(self._snapshot.fingerprint, self._snapshot.dtype, tuple(parts))
        try:
            self._parts.commit(after, self._snapshot)
        except BaseException:
            self.refresh()  # whether it was before or after the write happened
            raise
        self._take(after)

    def _take(self, after: Snapshot) -> None:
        self._version += after is not self._snapshot
        self._snapshot = after

    def _appended(
        self, parts: tuple[Part, ...], items: Sequence[StoreItem], now: Snapshot
    ) -> tuple[Part, ...]:
        """Parts with one more, in which small ones at the end are merged once they are many."""
        embeds = check_embeds(items, now.width, now.dtype)
        table = table_of([item.id for item in items], [item.attributes for item in items])
        new = [Part(Rows('', embeds, table), 0.0, np.ones(len(items), dtype=bool))]
        small = 0
        while small < len(parts) and len(parts[-1 - small].rows) < SMALL_ROWS:
            small += 1
        if len(items) < SMALL_ROWS and small + 1 >= MOST_SMALL:
            parts, new = parts[:-small], [*parts[-small:], *new]
        return (*parts, self._write(new, now.dtype))

    def _write(self, parts: Sequence[Part], dtype: str) -> Part:
        """Write the rows that are left of some parts as one part."""
        numbers, rows = merged_order(parts)
        longest = 0.0

        def chunks() -> Iterator[np.ndarray]:
            nonlocal longest
            for chunk in merged_embeds(parts, numbers, rows):
                longest = max(
                    longest, float(np.linalg.norm(chunk.astype(np.float32), axis=1).max())
                )
                yield chunk

        width = parts[0].rows.embeds.shape[1]
        written = self._parts.write(chunks(), merged_table(parts, numbers, rows), dtype, width)
        return Part(written, longest, np.ones(len(rows), dtype=bool))

    def _without(self, now: Snapshot, places: Iterable[Place]) -> tuple[Part, ...]:
        """Parts after some rows were deleted."""
        rows: dict[int, list[int]] = {}
        for number, row in places:
            rows.setdefault(number, []).append(row)
        parts = []
        for number, part in enumerate(now.parts):
            if number in rows:
                alive = part.alive.copy()
                alive[rows[number]] = False
                if not alive.any():
                    continue
                part = Part(part.rows, part.longest, alive, self._parts.write_left(alive))
            parts.append(part)
        return tuple(parts)
