"""Copying one store into another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np

from urbancross_mm.inference.stores.base_store import BaseStore, StoreItem

BATCH = 1000
ROUNDING = 1e-3  # of a store in half precision


def copy_store(
    source: BaseStore, target: BaseStore, progress: Callable[[int], None] = lambda items: None
) -> tuple[int, int]:
    """Copy what the target lacks, and what it holds in another form; then compact the target.

    A copy that was stopped goes on when it is started again. Other items of the target stay, so
    several sources can go into one target.

    Args:
        source (BaseStore): What to copy.
        target (BaseStore): Where to; of the same fingerprint.
        progress (Callable): Called with the number of items of each batch. Defaults to nothing.

    Returns:
        tuple[int, int]: How many items were added and updated.

    Raises:
        ValueError: If the fingerprints or widths differ.
    """
    if source.fingerprint != target.fingerprint:
        raise ValueError(
            f'the source has the fingerprint {source.fingerprint[:8]!r}, the target '
            f'{target.fingerprint[:8]!r}: vectors of two models do not belong into one store'
        )
    added = updated = 0
    pairs = _pairs(source.items(embeds=True), target.items(embeds=True))
    while batch := list(islice(pairs, BATCH)):
        new = [item for item, old in batch if old is None]
        changed = [item for item, old in batch if old is not None and not _equal(item, old)]
        target.add(new)
        target.update(changed)
        added, updated = added + len(new), updated + len(changed)
        progress(len(batch))
    target.compact()
    return added, updated


def _pairs(
    items: Iterator[StoreItem], others: Iterator[StoreItem]
) -> Iterator[tuple[StoreItem, StoreItem | None]]:
    """Items with those of the same id, both ascending."""
    other = next(others, None)
    for item in items:
        while other is not None and other.id < item.id:
            other = next(others, None)
        yield item, other if other is not None and other.id == item.id else None


def _equal(item: StoreItem, other: StoreItem) -> bool:
    assert item.embed is not None and other.embed is not None
    same = item.attributes == other.attributes and item.embed.shape == other.embed.shape
    return same and np.allclose(item.embed, other.embed, rtol=ROUNDING, atol=ROUNDING)
