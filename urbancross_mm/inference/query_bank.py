"""Other queries, which correct the scores of the one that is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from urbancross_mm.functional.reranking import CANDIDATES, SCALE, build_reranker
from urbancross_mm.functional.similarity import as_float, inner_product

# Scores of the bank that are held at once.
MAX_SCORES = 2**24


class Reranked(NamedTuple):
    """What a query finds, best first; (K,) tensors.

    Attributes:
        scores: Similarities.
        corrected: What they are ordered by.
        rows: Of the gallery.
    """

    scores: Tensor
    corrected: Tensor
    rows: Tensor


class QueryBank:
    """Re-ranks what one query finds as if the queries of the bank had been asked with it.

    It holds the embeddings of the bank, and of the gallery one number an image.

    Args:
        queries (Tensor): Embeddings of the bank.
        rerank (Mapping): See :func:`urbancross_mm.functional.reranking.build_reranker`.

    Shape:
        - queries: ``(B, D)``.

    Raises:
        ValueError: If the type or an option of ``rerank`` is not possible.
    """

    def __init__(self, queries: Tensor, rerank: Mapping[str, Any]) -> None:
        self.queries = as_float(queries)
        self._correct = build_reranker(rerank)
        self._options = {key: value for key, value in rerank.items() if key != 'type'}
        self._is_multivariate = rerank['type'] == 'multivariate'
        self._gallery = self._popularity = self._hubs = torch.empty(0)

    @torch.no_grad()
    def prepare(self, gallery: Tensor) -> None:
        """Look, once, at what the bank finds in a gallery.

        Args:
            gallery (Tensor): Embeddings.

        Shape:
            - gallery: ``(N, D)``.
        """
        self._gallery = as_float(gallery)
        if self._is_multivariate:
            return
        scale = self._options.get('scale', SCALE)
        total = self._gallery.new_full((len(gallery),), -torch.inf)
        self._hubs = torch.zeros(len(gallery), dtype=torch.bool)
        for rows in self.queries.split(max(1, MAX_SCORES // max(1, len(gallery)))):
            scores = inner_product(rows, self._gallery)
            total = torch.logaddexp(total, (scale * scores).logsumexp(dim=0))
            self._hubs |= (scores == scores.amax(dim=1, keepdim=True)).any(dim=0)
        self._popularity = (total - torch.tensor(float(len(self.queries))).log()) / scale

    @torch.no_grad()
    def search(self, query: Tensor, topk: int, mask: Tensor | None = None) -> Reranked:
        """Find the best images of the gallery.

        Args:
            query (Tensor): Its embedding.
            topk (int): Images at most.
            mask (Tensor, optional): Images that are searched. Defaults to None, all.

        Shape:
            - query: ``(1, D)``; mask: ``(N,)`` bool.

        Returns:
            Reranked: Of equal scores, the image that was added first comes first.

        Raises:
            ValueError: If ``topk`` is not positive.
        """
        if not isinstance(topk, int) or topk < 1:
            raise ValueError(f'topk must be a whole number of at least 1, got {topk!r}')
        rows = torch.arange(len(self._gallery)) if mask is None else mask.nonzero().flatten()
        scores = inner_product(query, self._gallery)[0, rows]
        if not len(rows):
            return Reranked(scores, scores, rows)
        corrected = (self._multivariate if self._is_multivariate else self._less_hubs)(scores, rows)
        order = corrected.argsort(descending=True, stable=True)[:topk]
        return Reranked(scores[order], corrected[order], rows[order])

    def _multivariate(self, scores: Tensor, rows: Tensor) -> Tensor:
        """Only the candidates are compared with the bank."""
        number = min(self._options.get('candidates', CANDIDATES), len(rows))
        chosen = scores >= scores.topk(number).values[-1]
        others = inner_product(self.queries, self._gallery[rows[chosen]])
        corrected = scores - scores.amax()
        corrected[chosen] = self._correct(torch.cat([scores[None, chosen], others]))[0]
        return corrected

    def _less_hubs(self, scores: Tensor, rows: Tensor) -> Tensor:
        if self._options.get('dynamic') and not self._hubs[rows[scores == scores.amax()]].any():
            return scores
        return scores - self._popularity[rows]
