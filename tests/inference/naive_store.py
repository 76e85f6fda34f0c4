"""A store in plain numpy: what the others must agree with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from urbancross_mm.inference.stores import BaseStore, StoreHit, StoreItem
from urbancross_mm.structures.filters import Filter


class NaiveStore(BaseStore):
    """Items in a dict."""

    def __init__(self, fingerprint: str = '') -> None:
        self.fingerprint = fingerprint
        self.width = 0
        self.rows: dict[str, StoreItem] = {}

    def add(self, items: Sequence[StoreItem]) -> None:
        ids = [item.id for item in items]
        if len(set(ids)) < len(ids) or set(ids) & set(self.rows):
            raise ValueError(f'an id of {ids} exists already')
        self.rows.update((item.id, item) for item in items)
        self.width = len(items[0].embed)

    def update(self, items: Sequence[StoreItem]) -> None:
        for item in items:
            embed = self.rows[item.id].embed if item.embed is None else item.embed
            self.rows[item.id] = replace(item, embed=embed)

    def version(self) -> int:
        return 0

    def delete(self, ids: Sequence[str]) -> int:
        return sum(self.rows.pop(name, None) is not None for name in ids)

    def search(
        self, vector: np.ndarray, topk: int = 10, where: Filter | None = None, offset: int = 0
    ) -> list[StoreHit]:
        hits = [
            StoreHit(item.id, float(item.embed @ vector), item.attributes)
            for item in self.items(where)
        ]
        hits.sort(key=lambda hit: (-hit.score, hit.id))
        return hits[offset : offset + topk]

    def get(self, ids: Sequence[str]) -> list[StoreItem]:
        return [self.rows[name] for name in ids]

    def count(self, where: Filter | None = None) -> int:
        return len(list(self.items(where)))

    def items(self, where: Filter | None = None, embeds: bool = False) -> Iterator[StoreItem]:
        for name in sorted(self.rows):
            item = self.rows[name]
            columns = {key: [value] for key, value in item.attributes.items()}
            if where is None or where.matches(columns, 1)[0]:
                yield item

    def compact(self) -> None:
        pass

    def close(self) -> None:
        pass
