"""What an index must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class SearchResult(NamedTuple):
    """The best items of Q queries, best first.

    Attributes:
        scores: Inner products, ``(Q, k)`` float32.
        indices: Rows in the order of adding, ``(Q, k)`` long.
    """

    scores: Tensor
    indices: Tensor


class BaseIndex(ABC):
    """Finds the rows with the largest inner product with a query.

    The smallest index stores what ``add`` brings and scans it in ``search``; see ``TorchIndex``.
    A subclass implements ``add``, ``_search`` and ``__len__``; the checks are done here once.
    """

    @abstractmethod
    def add(self, embeds: Tensor) -> None:
        """Append rows.

        Args:
            embeds (Tensor): Unit embeddings, so that inner products are cosines.

        Shape:
            - embeds: ``(N, D)``.

        Raises:
            ValueError: If the shape or width does not fit, or a value is not finite.
        """

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def _search(self, queries: Tensor, topk: int, rows: Tensor | None) -> SearchResult:
        """Search checked ``(Q, D)`` queries, among ``rows`` (ascending) or all rows if None."""

    def search(
        self, queries: Tensor, topk: int = 10, where: Tensor | Sequence[bool] | None = None
    ) -> SearchResult:
        """Find the best rows of each query, best first.

        Args:
            queries (Tensor): Unit embeddings.
            topk (int): Rows per query; fewer if fewer are allowed. Defaults to 10.
            where (Tensor | Sequence[bool] | None): One bool per row of the index; only true rows
                are searched. Defaults to None (all).

        Shape:
            - queries: ``(Q, D)``, or ``(D,)`` for one; where: ``(N,)``;
              outputs: ``(Q, min(topk, allowed rows))``.

        Returns:
            SearchResult: Scores and rows.

        Raises:
            ValueError: If the index is empty or an argument does not fit it.
        """
        if len(self) == 0:
            raise ValueError('the index is empty: add embeddings before searching')
        if not isinstance(topk, int) or topk < 1:
            raise ValueError(f'topk must be a whole number of at least 1, got {topk!r}')
        queries = queries[None] if queries.dim() == 1 else queries
        if queries.dim() != 2 or len(queries) == 0 or not bool(queries.isfinite().all()):
            raise ValueError(
                f'queries must be finite and of shape (Q, D) or (D,), got shape '
                f'{tuple(queries.shape)}'
            )
        rows = None if where is None else self._allowed_rows(torch.as_tensor(where))
        return self._search(queries, topk, rows)

    def _allowed_rows(self, where: Tensor) -> Tensor:
        if where.dtype != torch.bool or where.shape != (len(self),):
            raise ValueError(
                f'where must be {len(self)} bools, one per row; got {where.dtype} of '
                f'shape {tuple(where.shape)}'
            )
        return where.nonzero().flatten()
