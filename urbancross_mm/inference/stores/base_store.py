"""What a store of vectors must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from urbancross_mm.structures.filters import Filter


@dataclass(frozen=True)
class StoreItem:
    """One image, or one window of a raster, with its embedding.

    Attributes:
        id (str): Unique in the store.
        embed (np.ndarray | None): Unit embedding, ``(D,)``; None where it was not asked for.
        attributes (Mapping): Plain JSON values. Some names have a meaning:
            ``img_path`` (original file), ``window`` (column, row, width and height in a raster),
            ``lon`` and ``lat`` (center, degrees), ``bounds`` (west, south, east, north),
            ``country``, ``tags`` (list of str), ``date`` (ISO 8601), ``duplicate_of`` (an id) and
            ``stamp`` (see :class:`urbancross_mm.utils.hashing.FileStamp`).
    """

    id: str
    embed: np.ndarray | None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StoreHit:
    """An item that was found.

    Attributes:
        id (str): Its id.
        score (float): Inner product with the query, a cosine for unit vectors.
        attributes (Mapping): Its attributes.
    """

    id: str
    score: float
    attributes: Mapping[str, Any]


class BaseStore(ABC):
    """Vectors with attributes, searched by inner product under a filter.

    Every write is durable once the call returns. A batch of a call is written whole or not at all.
    Several processes may read while one writes. Items are searched in no particular order of
    writing; of equal scores the smaller id comes first.

    Attributes:
        fingerprint (str): Names the weights and the pipeline that made the vectors.
        width (int): D of the vectors; 0 while the store is empty.
    """

    fingerprint: str
    width: int

    @abstractmethod
    def add(self, items: Sequence[StoreItem]) -> None:
        """Add items.

        Raises:
            ValueError: If an id exists already or twice, or a vector is not finite or of another
                width.
        """

    @abstractmethod
    def update(self, items: Sequence[StoreItem]) -> None:
        """Replace the attributes of items, and their vectors unless ``embed`` is None.

        Raises:
            KeyError: If an id is unknown.
        """

    @abstractmethod
    def delete(self, ids: Sequence[str]) -> int:
        """Delete items; unknown ids are ignored. Returns how many were deleted."""

    @abstractmethod
    def search(
        self,
        vector: np.ndarray,
        topk: int = 10,
        where: Filter | None = None,
        offset: int = 0,
    ) -> list[StoreHit]:
        """Find the items of the largest inner products, best first.

        ``offset`` skips the first hits: paging is exact, a page never repeats a hit. Fewer than
        ``topk`` hits come back only if fewer items pass the filter.
        """

    @abstractmethod
    def get(self, ids: Sequence[str]) -> list[StoreItem]:
        """Items by id, with their vectors, in the order of ``ids``.

        Raises:
            KeyError: If an id is unknown.
        """

    @abstractmethod
    def count(self, where: Filter | None = None) -> int:
        """Number of items, of those that pass the filter."""

    @abstractmethod
    def items(self, where: Filter | None = None, embeds: bool = False) -> Iterator[StoreItem]:
        """All items by ascending id, in bounded memory."""

    @abstractmethod
    def compact(self) -> None:
        """Reclaim the space of deleted items and build or refresh the approximate index."""

    def refresh(self) -> None:  # noqa: B027  one in memory has nothing to do
        """See what other processes have written since the store was opened or refreshed.

        Raises:
            ValueError: If the store is gone, or another model has made it again.
        """

    @abstractmethod
    def version(self) -> int:
        """A number that is cheap to get, and another one once a write was seen.

        What :meth:`refresh` has not seen yet may be left out. A database may take seconds to count
        a write.
        """

    @abstractmethod
    def close(self) -> None:
        """Release files and connections."""

    def __len__(self) -> int:
        return self.count()

    def __enter__(self) -> BaseStore:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()
