"""Search that loses no hit, on top of an approximate index that may."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from urbancross_mm.inference.stores.base_store import BaseStore, StoreHit, StoreItem
from urbancross_mm.inference.stores.item_checks import check_query
from urbancross_mm.structures.filters import Filter

# Comparing as many takes less time than a person notices, and the index would lose hits.
FEW = 10_000
# Rows asked of the index: the same for every page, so that pages never differ.
DEPTHS = (64, 512)
MARGIN, GROWTH = 16, 4


Values = Sequence[Any] | np.ndarray


class Row(NamedTuple):
    """A candidate; ``attributes`` is still JSON."""

    id: str
    score: float
    lon: float | None
    lat: float | None
    attributes: str


class Positions(NamedTuple):
    """Candidates and their centers."""

    ids: np.ndarray
    lons: np.ndarray
    lats: np.ndarray


@dataclass(frozen=True)
class Condition:
    """A compiled filter: SQL, the values of its placeholders, and what SQL cannot say."""

    sql: str
    places: Filter = field(default_factory=lambda: Filter(()))
    values: dict[str, Any] = field(default_factory=dict)

    def within(self, lons: Values, lats: Values) -> np.ndarray:
        """Which positions pass, one bool each."""
        return self.places.matches({'lon': lons, 'lat': lats}, len(lons))


class SqlStore(BaseStore):
    """A store that is asked in SQL, with an approximate index over many rows.

    The index is asked for more rows than a page has. If it does not deliver them, or the filter
    leaves few rows, all rows that pass are compared. So a filter hides no hit.

    Attributes:
        orders_ties (bool): Whether an exact search takes the smaller ids of a tie at its end.
        few_rows (int): Where a filter leaves at most as many rows, all of them are compared, and
            so many need no index.
    """

    orders_ties = False
    few_rows = FEW

    def search(
        self,
        vector: np.ndarray,
        topk: int = 10,
        where: Filter | None = None,
        offset: int = 0,
    ) -> list[StoreHit]:
        """Find the best items; see :meth:`BaseStore.search`."""
        vector = check_query(vector, self._refreshed_width(), topk, offset)
        if not self.width:
            return []
        condition, wanted = self._condition(where), offset + topk
        found: dict[str, Row] = {}
        passing = self._count(condition, self.few_rows + 1) if self._has_index() else 0
        if passing > self.few_rows:
            for depth in DEPTHS:
                rows = self._nearest(vector, condition, depth, passing)
                self._keep(found, rows, len(rows) < depth, condition)
                if len(found) >= wanted or len(rows) < depth:
                    break
        if len(found) < wanted:
            self._compare_all(vector, condition, wanted, found)
        return [
            StoreHit(row.id, row.score, json.loads(row.attributes))
            for row in list(found.values())[offset:wanted]
        ]

    def count(self, where: Filter | None = None) -> int:
        """Number of items; see :meth:`BaseStore.count`."""
        if not self._refreshed_width():
            return 0
        condition = self._condition(where)
        if condition.places.conditions:
            return len(self._ids_within(condition))
        return self._count(condition, None)

    def _compare_all(
        self, vector: np.ndarray, condition: Condition, wanted: int, found: dict[str, Row]
    ) -> None:
        """Add what the index did not find."""
        if condition.places.conditions:
            ids = self._ids_within(condition)
            if len(ids) <= self.few_rows:
                condition = self._among(ids)
        limit = wanted + MARGIN
        while True:
            rows = self._nearest(vector, condition, limit, None)
            self._keep(found, rows, len(rows) < limit or self.orders_ties, condition)
            if len(found) >= wanted or len(rows) < limit:
                return
            limit *= GROWTH

    def _keep(
        self, found: dict[str, Row], rows: list[Row], complete: bool, condition: Condition
    ) -> None:
        """Add rows in their order; of the last score perhaps not all are there."""
        rows = sorted(rows, key=lambda row: (-row.score, row.id))
        if not complete:
            rows = [row for row in rows if row.score > rows[-1].score]
        within = condition.within([row.lon for row in rows], [row.lat for row in rows])
        for row, passes in zip(rows, within):
            if passes:
                found.setdefault(row.id, row)

    def _ids_within(self, condition: Condition) -> list[str]:
        """Ids of the candidates that lie where they should."""
        candidates = self._positions(condition)
        return list(candidates.ids[condition.within(candidates.lons, candidates.lats)])

    def refresh(self) -> None:
        """See whether the store is still of the same model; each call reads the newest."""
        self._refreshed_width()

    @abstractmethod
    def _refreshed_width(self) -> int:
        """The width, also if another process has added the first item.

        Raises:
            ValueError: If another model has made the store again.
        """

    @abstractmethod
    def _condition(self, where: Filter | None) -> Condition:
        """Compile a filter."""

    @abstractmethod
    def _among(self, ids: list[str]) -> Condition:
        """The condition that the id is one of these."""

    @abstractmethod
    def _has_index(self) -> bool:
        """Whether there is an approximate index."""

    @abstractmethod
    def _count(self, condition: Condition, most: int | None) -> int:
        """Rows that pass in SQL; counting may stop at ``most``."""

    @abstractmethod
    def _positions(self, condition: Condition) -> Positions:
        """All rows that pass in SQL."""

    @abstractmethod
    def _nearest(
        self, vector: np.ndarray, condition: Condition, limit: int, passing: int | None
    ) -> list[Row]:
        """The rows of the largest products; those of the last score in any choice.

        By the index if it is known how many rows pass, or that more than ``few_rows`` do.
        """


def in_order(ids: Sequence[str], found: Mapping[str, StoreItem]) -> list[StoreItem]:
    """Items in the order of their ids.

    Args:
        ids (Sequence[str]): The ids.
        found (Mapping): Items by id.

    Returns:
        list[StoreItem]: One for each id.

    Raises:
        KeyError: If one is missing.
    """
    for item_id in ids:
        if item_id not in found:
            raise KeyError(f'the store has no item {item_id!r}')
    return [found[item_id] for item_id in ids]
