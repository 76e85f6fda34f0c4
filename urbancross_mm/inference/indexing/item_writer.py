"""Writes the items of one source to a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from urbancross_mm.inference.indexing.base_source import BaseSource
from urbancross_mm.inference.indexing.plan import FileAttributes, attributes_of, stamp_of
from urbancross_mm.inference.stores import BaseStore, StoreItem
from urbancross_mm.utils.hashing import FileStamp


class Row(NamedTuple):
    """An item that was encoded: its position in the source, its vector and its stamp."""

    position: int
    embed: np.ndarray
    stamp: FileStamp


class ItemWriter:
    """Writes items of one source, and remembers which were left out.

    Args:
        source (BaseSource): The source.
        store (BaseStore): The index.
        extra (Mapping, optional): Attributes by file; None keeps those of the index.
        changed (set[int]): Positions of items that the index has with other content.
    """

    def __init__(
        self,
        source: BaseSource,
        store: BaseStore,
        extra: FileAttributes | None,
        changed: set[int],
    ) -> None:
        self.source, self.store, self.extra, self.changed = source, store, extra, changed
        self.written: set[int] = set()
        self.empty: list[int] = []

    def write(self, rows: Sequence[Row], target: BaseStore) -> None:
        """Add new items and update known ones; in a part of one rank, all are new."""
        known = self._known([row.position for row in rows if row.position in self.changed])
        new: list[StoreItem] = []
        again: list[StoreItem] = []
        for row in rows:
            attributes = self._attributes(row.position, known.get(row.position, {}))
            item = StoreItem(
                self.source.id_of(row.position),
                row.embed,
                dict(attributes, stamp=list(row.stamp)),
            )
            is_known = row.position in self.changed and target is self.store
            (again if is_known else new).append(item)
        if new:
            target.add(new)
        if again:
            target.update(again)
        self.written.update(row.position for row in rows)

    def relabel(self, positions: Sequence[int]) -> None:
        """Update attributes and stamps of items whose content is the same."""
        items = self.store.get([self.source.id_of(position) for position in positions])
        updated = []
        for position, item in zip(positions, items):
            attributes = self._attributes(position, item.attributes)
            stamp = stamp_of(item)
            renewed = stamp and self.source.renewed(position, stamp)
            if renewed is None:
                continue  # changed since it was compared: the next run encodes it
            if 'duplicate_of' in item.attributes:
                attributes['duplicate_of'] = item.attributes['duplicate_of']
            updated.append(StoreItem(item.id, None, dict(attributes, stamp=list(renewed))))
        if updated:
            self.store.update(updated)

    def _known(self, positions: Sequence[int]) -> dict[int, Mapping[str, Any]]:
        if not positions:
            return {}
        items = self.store.get([self.source.id_of(position) for position in positions])
        return {position: item.attributes for position, item in zip(positions, items)}

    def _attributes(self, position: int, known: Mapping[str, Any]) -> dict[str, Any]:
        return attributes_of(self.source, position, self.extra, known)
