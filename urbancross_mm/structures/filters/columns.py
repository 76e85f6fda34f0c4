"""An attribute of many items, coded so that a condition is a few numpy operations."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np

from urbancross_mm.structures.filters.conditions import TextRange


class Column:
    """Values of one attribute by their type; coding takes one pass over the values.

    Args:
        values (Sequence): Plain JSON values, None where an item lacks the attribute; or an array.
        codes (np.ndarray | None): Where few values differ: which of ``values`` each row has,
            ``(N,)``. Defaults to None: there is one value a row.

    Attributes:
        numbers (np.ndarray): float64, NaN where the value is no number, ``(V,)``.
        flags (np.ndarray): int8, 0 and 1 of booleans, -1 elsewhere, ``(V,)``.
    """

    def __init__(self, values: Sequence[Any] | np.ndarray, codes: np.ndarray | None = None) -> None:
        self._codes = codes
        if isinstance(values, np.ndarray):
            values = values.tolist()
        flags = [isinstance(v, bool) for v in values]
        texts = [isinstance(v, str) for v in values]
        self.flags = np.array([v if flag else -1 for v, flag in zip(values, flags)], np.int8)
        self.numbers = np.array(
            [
                v if isinstance(v, float | int) and not flag else np.nan
                for v, flag in zip(values, flags)
            ],
            np.float64,
        )
        self.numbers[np.isinf(self.numbers)] = np.nan
        self._text_rows = np.flatnonzero(texts)
        self._texts = _Texts([v for v, text in zip(values, texts) if text])
        lists = [(row, v) for row, v in enumerate(values) if isinstance(v, list | tuple)]
        pairs = [(row, tag) for row, tags in lists for tag in tags if isinstance(tag, str)]
        self._tags = _Texts([tag for _, tag in pairs])
        self._tag_rows = np.array([row for row, _ in pairs], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.numbers if self._codes is None else self._codes)

    def by_row(self, by_value: np.ndarray) -> np.ndarray:
        """What holds of each row, from what holds of each value."""
        return by_value if self._codes is None else by_value[self._codes]

    def text_in(self, ranges: Sequence[TextRange]) -> np.ndarray:
        """Values that are a string within one of the ranges."""
        return self._rows(self._text_rows, self._texts, ranges)

    def tagged(self, tag: str) -> np.ndarray:
        """Values that are a list that holds a string."""
        return self._rows(self._tag_rows, self._tags, [(tag, tag + '\0')])

    def _rows(self, rows: np.ndarray, texts: _Texts, ranges: Sequence[TextRange]) -> np.ndarray:
        mask = np.zeros(len(self.numbers), dtype=bool)
        for start, end in ranges:
            mask[rows[texts.within(start, end)]] = True
        return mask


class _Texts:
    """Strings as ranks among the different ones."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._sorted = sorted(set(texts))
        ranks = {text: rank for rank, text in enumerate(self._sorted)}
        self._ranks = np.array([ranks[text] for text in texts], dtype=np.int32)

    def within(self, start: str | None, end: str | None) -> np.ndarray:
        """Which are at least ``start`` and less than ``end``."""
        first = 0 if start is None else bisect_left(self._sorted, start)
        last = len(self._sorted) if end is None else bisect_left(self._sorted, end)
        return (self._ranks >= first) & (self._ranks < last)
