"""Checks that all stores make of what they are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from urbancross_mm.inference.stores.base_store import StoreItem
from urbancross_mm.inference.stores.sql import typed_values

# Of one query; databases do not count further than to 2 ** 31.
MOST_HITS = 100_000_000


def check_ids(ids: Sequence[str], known: Collection[str] = ()) -> None:
    """Check the ids of a batch that is about to be added.

    Args:
        ids (Sequence[str]): The ids.
        known (Collection[str]): Those of them that the store has already. Defaults to ().

    Raises:
        ValueError: If one is no valid text, is empty, occurs twice or is known.
    """
    for item_id in ids:
        if not isinstance(item_id, str) or not item_id or not _is_text(item_id):
            raise ValueError(f'an id must be text that is not empty, got {item_id!r}')
    if len(set(ids)) < len(ids):
        twice = next(item_id for item_id, count in Counter(ids).items() if count > 1)
        raise ValueError(f'the id {twice!r} occurs twice in one batch')
    if known:
        raise ValueError(f'the store has the id {min(known)!r} already: update it, or delete it')


def check_attributes(items: Sequence[StoreItem]) -> None:
    """Check that filters can look at the attributes of items.

    Args:
        items (Sequence[StoreItem]): The items.

    Raises:
        ValueError: If a name is no text, or a number is beyond those of a float.
    """
    for item in items:
        for name in item.attributes:
            if not isinstance(name, str):
                raise ValueError(f'the attribute {name!r} of {item.id!r} must have a text as name')
        typed_values(item.attributes)


def check_embeds(items: Sequence[StoreItem], width: int, dtype: str = 'float32') -> np.ndarray:
    """Check the vectors of items and stack them.

    Args:
        items (Sequence[StoreItem]): At least one, each with a vector.
        width (int): D of the store; 0 while it is empty.
        dtype (str): What to store them as. Defaults to 'float32'.

    Shape:
        - output: ``(N, D)``.

    Returns:
        np.ndarray: The vectors.

    Raises:
        ValueError: If one is missing, not finite or of another width; the message names the item.
    """
    rows = []
    for item in items:
        row = np.asarray([] if item.embed is None else item.embed)
        width = width or row.size
        if row.shape != (width,) or not width:
            raise ValueError(
                f'the vector of {item.id!r} must have shape ({width or "D"},), '
                f'got {None if item.embed is None else row.shape}'
            )
        rows.append(row)
    with np.errstate(over='ignore'):  # what becomes infinite is refused
        embeds = np.stack(rows).astype(dtype)
    bad = np.flatnonzero(~np.isfinite(embeds).all(axis=1))
    if len(bad):
        raise ValueError(f'the vector of {items[bad[0]].id!r} is not finite')
    return embeds


def check_query(vector: np.ndarray, width: int, topk: int, offset: int) -> np.ndarray:
    """Check the arguments of a search.

    Args:
        vector (np.ndarray): The query.
        width (int): D of the store; 0 while it is empty.
        topk (int): Hits to return.
        offset (int): Hits to skip.

    Shape:
        - vector: ``(D,)``; output: the same, float32.

    Returns:
        np.ndarray: The query.

    Raises:
        ValueError: If one does not fit.
    """
    query = np.asarray(vector, dtype=np.float32)
    if query.ndim != 1 or (width and len(query) != width) or not np.isfinite(query).all():
        raise ValueError(
            f'a query must be finite and of shape ({width or "D"},), got shape {query.shape}'
        )
    for name, value, least in (('topk', topk, 1), ('offset', offset, 0)):
        if not isinstance(value, int) or value < least:
            raise ValueError(f'{name} must be a whole number of at least {least}, got {value!r}')
    if topk + offset > MOST_HITS:
        raise ValueError(
            f'topk and offset must be {MOST_HITS:,} at most together, got {topk} and {offset}: '
            'narrow the search by a filter'
        )
    return query


def check_fingerprint(found: str, expected: str, location: str) -> None:
    """Refuse a store of another model or pipeline.

    Args:
        found (str): Fingerprint of the store.
        expected (str): Fingerprint of the model that is about to use it.
        location (str): Where the store is.

    Raises:
        ValueError: If they differ.
    """
    if found != expected:
        raise ValueError(
            f'stale store {location!r}: another model, checkpoint or pipeline made it '
            f'({found[:8]}, now {expected[:8]}): remove it or name another one, and build it again'
        )


def _is_text(text: str) -> bool:
    """Whether UTF-8 can hold it; PostgreSQL takes no zero byte."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return '\0' not in text
