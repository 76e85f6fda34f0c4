"""Searching with a model that scores pairs, and refusing it where vectors are compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from urbancross_mm.inference.index.base_index import BaseIndex, SearchResult

_QUERIES = 64  # scored at once
_ITEMS = 65536


class PairIndex(BaseIndex):
    """Exact search that scores each query with each item, for a model such as AMFMN.

    Of equal scores, the item that was added first wins.

    Args:
        score (Callable): Scores Q queries and N items in float64, ``(Q, D), (N, D) -> (Q, N)``.
    """

    def __init__(self, score: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.score = score
        self._feats = torch.empty(0, 0)

    def __len__(self) -> int:
        return len(self._feats)

    def add(self, embeds: Tensor) -> None:
        """Append rows; see :meth:`BaseIndex.add`.

        Args:
            embeds (Tensor): What the score reads of the items, of any length.

        Shape:
            - embeds: ``(N, D)``.
        """
        self._feats = torch.cat([self._feats, embeds]) if len(self) else embeds

    def _search(self, queries: Tensor, topk: int, rows: Tensor | None) -> SearchResult:
        feats = self._feats if rows is None else self._feats[rows]
        best, found = [], []
        for some in queries.split(_QUERIES):
            parts = [self.score(some, part) for part in feats.split(_ITEMS)]
            # Rounded, so that equal items stay equal; stable, so that the first one comes first.
            scores = torch.cat(parts, dim=1).round(decimals=9)
            order = scores.argsort(dim=1, descending=True, stable=True)[:, :topk]
            best.append(scores.gather(1, order).float())
            found.append(order if rows is None else rows[order])
        return SearchResult(torch.cat(best), torch.cat(found))


def check_comparable(model: Any, what: str) -> None:
    """Refuse a model that scores pairs where its vectors would be compared.

    Args:
        model (Any): A retriever.
        what (str): Who compares, for the message.

    Raises:
        ValueError: If the model has ``score_pairs``.
    """
    if getattr(model, 'score_pairs', None) is not None:
        raise ValueError(
            f'{what} compares vectors of images and texts, but {type(model).__name__} scores pairs '
            'and its vectors mean nothing alone: use another model, such as CrossModalRetriever; '
            'search, tests and retrieval errors work with this one'
        )
