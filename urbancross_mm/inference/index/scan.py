"""Exact search by scanning: a fast product proposes rows, double precision orders them."""

from __future__ import annotations

import torch
from torch import Tensor

# Rows scored at once, and those of them in double precision.
CHUNK_SIZE = 65536
EXACT_ROWS = 4096


class BestRows:
    """The best rows of one query among those offered so far.

    The result does not depend on what is offered together: a fast matrix product only proposes
    rows, as many as its rounding leaves open. Their scores are then computed one by one in double
    precision, so nearly equal rows come in their true order.

    Args:
        query (Tensor): Float32 query, ``(D,)``.
        topk (int): Rows to find.
        longest (float): Largest norm of any row that will be offered.

    Attributes:
        scores (Tensor): Inner products, best first, float64; beyond ``topk`` only such that equal
            the last, ``(K,)``.
        numbers (Tensor): Their numbers; of equal scores in the order of offering, ``(K,)`` long.
    """

    def __init__(self, query: Tensor, topk: int, longest: float) -> None:
        self._query, self._exact_query, self._topk = query, query.double(), topk
        # Two scores may each be off by the rounding of a product of this width.
        eps = torch.finfo(torch.float32).eps
        self._rounding = (len(query) + 2) * eps * query.norm() * longest
        self.scores = torch.empty(0, dtype=torch.float64, device=query.device)
        self.numbers = torch.empty(0, dtype=torch.long, device=query.device)

    def offer(self, scores: Tensor, embeds: Tensor, numbers: Tensor) -> None:
        """Take the best of more rows in.

        Args:
            scores (Tensor): Inner products with the query in single precision.
            embeds (Tensor): The rows.
            numbers (Tensor): What to call them.

        Shape:
            - scores, numbers: ``(C,)``; embeds: ``(C, D)``.
        """
        floor = scores.topk(min(self._topk, len(scores))).values[-1]
        if len(self.scores) >= self._topk:
            floor = torch.maximum(floor, self.scores[-1].to(floor))
        near = (scores >= floor - self._rounding).nonzero().flatten()
        exact = [
            (self._exact_query * embeds[part].double()).sum(dim=1)
            for part in near.split(EXACT_ROWS)
        ]
        scores = torch.cat([self.scores, *exact])
        # Stable, and what was offered first comes first: so it does among equals.
        order = scores.argsort(descending=True, stable=True)
        if len(order) > self._topk:
            order = order[: int((scores >= scores[order[self._topk - 1]]).sum())]
        self.scores = scores[order]
        self.numbers = torch.cat([self.numbers, numbers[near]])[order]
