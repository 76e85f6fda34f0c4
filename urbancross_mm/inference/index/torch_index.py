"""Exact search by scanning, in plain torch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from urbancross_mm.functional.similarity import as_float, inner_product
from urbancross_mm.inference.index.base_index import BaseIndex, SearchResult
from urbancross_mm.inference.index.scan import CHUNK_SIZE, BestRows
from urbancross_mm.registry import INDEXES
from urbancross_mm.utils.devices import full_precision

DTYPES = {'float32': torch.float32, 'float16': torch.float16}


@INDEXES.register_module()
class TorchIndex(BaseIndex):
    """Exact inner-product search; among equal scores the row that was added first wins.

    The result does not depend on what else is searched, and nearly equal rows come in their true
    order: see :class:`~urbancross_mm.inference.index.scan.BestRows`.

    Args:
        dtype (str): How rows are stored, ``'float32'`` or ``'float16'`` (half the memory, rounding
            of about 5e-4 of each value). Scores are float32. Defaults to 'float32'.
        device (str): Where rows are stored and searched. Defaults to 'cpu'.

    Examples:
        >>> index = INDEXES.build(dict(type='TorchIndex'))
        >>> index.add(torch.eye(3))
        >>> index.search(torch.tensor([0., 1., 0.]), topk=1).indices
        tensor([[1]])
    """

    def __init__(self, dtype: str = 'float32', device: str = 'cpu') -> None:
        if dtype not in DTYPES:
            raise ValueError(f'dtype must be one of {tuple(DTYPES)}, got {dtype!r}')
        self._embeds = torch.empty(0, 0, dtype=DTYPES[dtype], device=device)
        self._longest = 0.0

    def __len__(self) -> int:
        return len(self._embeds)

    def add(self, embeds: Tensor) -> None:
        """Append rows; see :meth:`BaseIndex.add`.

        Args:
            embeds (Tensor): Unit embeddings. All at once is cheapest: each call copies the index.

        Shape:
            - embeds: ``(N, D)``.

        Raises:
            ValueError: If the shape or width does not fit, or a value is not finite.
        """
        if embeds.dim() != 2 or not bool(embeds.isfinite().all()):
            raise ValueError(
                f'embeds must be finite and of shape (N, D), got shape {tuple(embeds.shape)}'
            )
        embeds = embeds.detach().to(self._embeds)
        if len(embeds):
            self._longest = max(self._longest, float(as_float(embeds).norm(dim=1).amax()))
        if len(self) == 0:
            self._embeds = embeds.clone()
        else:
            self._check_width('embeds', embeds)
            self._embeds = torch.cat([self._embeds, embeds])

    @torch.no_grad()
    def _search(self, queries: Tensor, topk: int, rows: Tensor | None) -> SearchResult:
        self._check_width('queries', queries)
        queries = queries.to(self._embeds.device).float()
        if rows is not None:
            rows = rows.to(self._embeds.device)
        best = [BestRows(query, topk, self._longest) for query in queries]
        with full_precision():
            for embeds, numbers in self._chunks(rows):
                scores = inner_product(queries, embeds)  # (Q, C)
                for known, row in zip(best, scores):
                    known.offer(row, embeds, numbers)
        return SearchResult(
            torch.stack([known.scores[:topk] for known in best]).float(),
            torch.stack([known.numbers[:topk] for known in best]),
        )

    def _chunks(self, rows: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield float embeddings and row numbers, a chunk at a time."""
        if rows is None:
            for start in range(0, len(self), CHUNK_SIZE):
                embeds = as_float(self._embeds[start : start + CHUNK_SIZE])
                yield embeds, torch.arange(start, start + len(embeds), device=embeds.device)
        elif len(rows):
            for numbers in rows.split(CHUNK_SIZE):
                yield as_float(self._embeds[numbers]), numbers

    def _check_width(self, name: str, embeds: Tensor) -> None:
        if embeds.shape[1] != self._embeds.shape[1]:
            raise ValueError(
                f'{name} have width {embeds.shape[1]}, the index has width {self._embeds.shape[1]}'
            )
