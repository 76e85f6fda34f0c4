"""Endless streams of the items of some members of a concatenated dataset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


def indices_by(key: str, dataset: Any, sampler: str) -> dict[str, np.ndarray]:
    """Indices of the items of a concatenated dataset by what their member's metainfo says.

    Args:
        key (str): Of the metainfo, such as ``'domain'``; a member without it counts as ``''``.
        dataset (ConcatDataset): With ``datasets``.
        sampler (str): Who asks, for the message.

    Returns:
        dict[str, np.ndarray]: In the order of the members.

    Raises:
        ValueError: If the dataset has no members.
    """
    members = getattr(dataset, 'datasets', None)
    if not members:
        raise ValueError(
            f'{sampler} needs a ConcatDataset of members with a {key}, got {type(dataset).__name__}'
        )
    indices: dict[str, np.ndarray] = {}
    begin = 0
    for member in members:
        name = member.metainfo.get(key, '')
        span = np.arange(begin, begin + len(member))
        indices[name] = np.concatenate([indices[name], span]) if name in indices else span
        begin += len(member)
    return indices


def stream(indices: np.ndarray, seed: list[int]) -> Iterator[int]:
    """All items in random order, again and again, each time in another order.

    Args:
        indices (np.ndarray): Of the items.
        seed (list[int]): Of the order.

    Yields:
        int: An index; there is no end.
    """
    turn = 0
    while True:
        yield from shuffled(indices, seed, turn).tolist()
        turn += 1


def shuffled(indices: np.ndarray, seed: list[int], turn: int) -> np.ndarray:
    """All items in random order.

    Args:
        indices (np.ndarray): Of the items.
        seed (list[int]): Of the order.
        turn (int): Another one gives another order.

    Returns:
        np.ndarray: The indices.
    """
    return np.random.default_rng([*seed, turn]).permutation(indices)
