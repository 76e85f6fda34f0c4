"""Counting the negatives of the rows, or of the columns, of a score matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from urbancross_mm.functional.exact_scores import Rows, order_of_pairs, scores_of_pairs

# Beyond one undecided pair among so many of a tile, the whole tile in float64 is cheaper.
FEW = 64


class _Close(NamedTuple):
    """Queries of a tile with scores that may reach their threshold."""

    query: Tensor  # (R,)
    scores: Tensor  # (R, W)
    above: Tensor  # (R,) how many surely exceed it
    undecided: Tensor  # (R,) how many more may


class SideCounts:
    """How many negatives of each query score above one item of it, and how many the same.

    Args:
        queries (Rows): Embeddings of Q queries.
        items (Rows): Embeddings of G items.
        chosen (Tensor): The item of each query that the others are compared with.
        threshold (Tensor): Its score, float64.
        axis (int): Where the items lie in a tile: 1 if its rows are the queries, else 0.

    Shape:
        - chosen, threshold: ``(Q,)``.
    """

    def __init__(
        self, queries: Rows, items: Rows, chosen: Tensor, threshold: Tensor, axis: int
    ) -> None:
        self.queries, self.items, self.axis = queries, items, axis
        self.chosen, self.threshold = chosen, threshold
        # What float64 may be off by, for an item of length 1.
        self.noise = queries.error_bound(torch.float64) * queries.norms  # (Q,)
        self.bounds: dict[torch.dtype, tuple[float, Tensor, Tensor]] = {}
        self.above = torch.zeros_like(chosen)
        self.tied = torch.zeros_like(chosen)

    def add(
        self, tile: Tensor, room: Tensor, first: tuple[int, int], precise: Callable[[], Tensor]
    ) -> None:
        """Count the items of one tile.

        Args:
            tile (Tensor): Scores, the positive pairs at -inf.
            room (Tensor): Room for the comparisons.
            first (tuple[int, int]): Row and column of the tile in the score matrix.
            precise (Callable): Gives the tile in float64.

        Shape:
            - tile, room: ``(H, W)``.
        """
        if self.axis == 0:
            tile, room, first = tile.t(), room.t(), first[::-1]
        close = self._compare(tile, room, first)
        if close.undecided.sum() > tile.numel() // FEW:
            tile = precise() if self.axis == 1 else precise().t()
            tile = self._without_equal(tile, first)
            close = self._compare(tile, torch.empty_like(tile), first)
        self.above.index_add_(0, close.query, close.above.long())
        rows = close.undecided.nonzero().flatten()
        if len(rows):
            query = close.query[rows]
            low, high = (bound[query, None] for bound in self.bounds[tile.dtype][1:])
            scores = close.scores[rows]
            row, column = ((scores >= low) & (scores <= high)).nonzero(as_tuple=True)
            self._decide(query[row], column + first[1])

    def _compare(self, tile: Tensor, room: Tensor, first: tuple[int, int]) -> _Close:
        """Count what the rounding of the tile cannot change, and what it can."""
        longest = float(self.items.norms[first[1] : first[1] + tile.shape[1]].amax())
        low, high = self._bounds(longest, tile.dtype)
        query = torch.arange(first[0], first[0] + len(tile), device=tile.device)
        ones = room.new_ones(tile.shape[1])
        # Comparisons as 0/1 floats, summed by a matrix-vector product: an integer reduction of a
        # bool tensor takes several times as long. float32 counts exactly up to 2 ** 24 a tile.
        reaching = torch.mv(torch.ge(tile, low[query, None], out=room), ones)
        rows = reaching.nonzero().flatten()
        if 2 * len(rows) < len(tile):  # a good model: most queries have nothing above
            tile, query, reaching = tile[rows], query[rows], reaching[rows]
        above = torch.mv(torch.gt(tile, high[query, None], out=room[: len(tile)]), ones)
        return _Close(query, tile, above, reaching - above)

    def _bounds(self, longest: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Scores outside of them are decided, of items up to the length ``longest``."""
        known = self.bounds.get(dtype)
        if known is None or not longest <= known[0] <= 2 * longest:
            # What underflows is lost besides.
            smallest = self.queries.embeds.shape[1] * torch.finfo(dtype).tiny
            error = (
                self.queries.error_bound(dtype) * longest * self.queries.norms
                + self.noise * self.items.norms[self.chosen]
                + smallest
            )
            infinity = torch.tensor(torch.inf, dtype=dtype, device=error.device)
            known = (
                longest,
                torch.nextafter((self.threshold - error).to(dtype), -infinity),
                torch.nextafter((self.threshold + error).to(dtype), infinity),
            )
            self.bounds[dtype] = known
        return known[1:]

    def _without_equal(self, tile: Tensor, first: tuple[int, int]) -> Tensor:
        """Count the items that equal the chosen one, of which there may be many, and drop them."""
        here = slice(first[0], first[0] + len(tile))
        item = self.items.labels[first[1] : first[1] + tile.shape[1]]
        equal = self.items.labels[self.chosen[here], None] == item
        equal |= self.queries.norms[here, None] == 0  # such a query scores all items the same
        equal &= tile > -torch.inf
        self.tied[here] += equal.sum(dim=1)
        return tile.masked_fill(equal, -torch.inf)

    def _decide(self, query: Tensor, item: Tensor) -> None:
        """Count pairs that are too close for the tile."""
        difference = scores_of_pairs(self.queries, self.items, query, item) - self.threshold[query]
        lengths = self.items.norms[item] + self.items.norms[self.chosen[query]]
        unsure = difference.abs() < self.noise[query] * lengths
        order = difference.sign()
        order[unsure] = order_of_pairs(
            self.queries, self.items, query[unsure], item[unsure], self.chosen[query[unsure]]
        )
        self.above.index_add_(0, query, (order > 0).long())
        self.tied.index_add_(0, query, (order == 0).long())
