"""What a store holds at one time; a search sees one snapshot from start to end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from urbancross_mm.inference.index.scan import CHUNK_SIZE, BestRows
from urbancross_mm.inference.stores.base_store import StoreHit, StoreItem
from urbancross_mm.inference.stores.parts import Part
from urbancross_mm.structures.filters import Filter

Place = tuple[int, int]  # number of the part, row in it
READ_ROWS = 1024  # decoded at once


@dataclass(frozen=True)
class Snapshot:
    """Parts, each of them with a row at least.

    Attributes:
        fingerprint (str): Names the weights and the pipeline that made the vectors.
        dtype (str): How vectors are kept.
        parts (tuple[Part, ...]): The parts.
    """

    fingerprint: str
    dtype: str
    parts: tuple[Part, ...] = ()

    @property
    def width(self) -> int:
        """int: D of the vectors; 0 without any."""
        return self.parts[0].rows.embeds.shape[1] if self.parts else 0

    def find(self, ids: Iterable[str]) -> dict[str, Place]:
        """Where those of some ids are that are here."""
        found = {}
        for number, part in enumerate(self.parts):
            found.update({item_id: (number, row) for item_id, row in part.find(ids).items()})
        return found

    def find_all(self, ids: Sequence[str]) -> list[Place]:
        """Where some ids are; KeyError names one that is not here."""
        found = self.find(ids)
        for item_id in ids:
            if item_id not in found:
                raise KeyError(f'the store has no item {item_id!r}')
        return [found[item_id] for item_id in ids]

    def embed(self, place: Place) -> np.ndarray:
        """A vector, float32."""
        return self.parts[place[0]].rows.embeds[place[1]].astype(np.float32)

    def check(self, where: Filter | None) -> None:
        """Refuse a filter on an attribute that no item has."""
        if where is not None and self.parts:
            where.check_names({name for part in self.parts for name in part.rows.attributes})

    def search(
        self, query: np.ndarray, topk: int, where: Filter | None, offset: int
    ) -> list[StoreHit]:
        """Hits from ``offset`` on, best first; of equal scores the smaller id comes first."""
        longest = max((part.longest for part in self.parts), default=0.0)
        best = BestRows(torch.from_numpy(query), topk + offset, longest)
        start = 0
        for part in self.parts:
            for rows, embeds in _chunks(part, where):
                # Not torch's product with one vector, which takes twice the time, nor that of a
                # BLAS with threads, which wait for each other where many clients search at once.
                scores = torch.from_numpy(np.einsum('nd,d->n', embeds, query))
                best.offer(scores, torch.from_numpy(embeds), torch.from_numpy(rows + start))
            start += len(part.rows)
        starts = np.cumsum([0] + [len(part.rows) for part in self.parts])
        numbers = np.searchsorted(starts, best.numbers.numpy(), side='right') - 1
        found = [
            (
                -score,
                self.parts[number].rows.ids[row - starts[number]],
                number,
                row - starts[number],
            )
            for score, number, row in zip(
                best.scores.tolist(), numbers.tolist(), best.numbers.tolist()
            )
        ]
        return [
            StoreHit(item_id, -negative, self.parts[number].rows.records([row])[0])
            for negative, item_id, number, row in sorted(found)[offset : offset + topk]
        ]

    def read(self, number: int, where: Filter | None, embeds: bool) -> Iterator[StoreItem]:
        """Items of one part by ascending id."""
        part = self.parts[number]
        passing = np.flatnonzero(part.passing(where))
        for start in range(0, len(passing), READ_ROWS):
            rows = passing[start : start + READ_ROWS]
            for row, attributes in zip(rows.tolist(), part.rows.records(rows)):
                embed = self.embed((number, row)) if embeds else None
                yield StoreItem(part.rows.ids[row], embed, attributes)


def _chunks(part: Part, where: Filter | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Numbers and float vectors of the rows that pass, a chunk at a time."""
    passing, vectors = part.passing(where), part.rows.embeds
    for start in range(0, len(passing), CHUNK_SIZE):
        rows = np.flatnonzero(passing[start : start + CHUNK_SIZE]) + start
        if len(rows):
            whole = rows[-1] - rows[0] == len(rows) - 1  # without gaps nothing need be copied
            embeds = vectors[rows[0] : rows[-1] + 1] if whole else vectors[rows]
            yield rows, embeds.astype(np.float32, copy=False)
