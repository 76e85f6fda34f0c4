"""Counting in tiles of the score matrix: what :mod:`ranking` is made of.

The whole matrix is never held. A tile is multiplied once, its positive pairs are masked out, and
the negatives that reach the thresholds are counted along its rows, its columns, or both.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import torch
from torch import Tensor

from urbancross_mm.functional.exact_scores import Rows, order_of_pairs, scores_of_pairs
from urbancross_mm.functional.side_counts import SideCounts


class PairSide:
    """The positive pairs of a score matrix, seen from its rows or from its columns.

    Args:
        queries (Rows): Embeddings of the side that asks.
        items (Rows): Embeddings of the other side.
        owner (Tensor): Query of each positive pair.
        partner (Tensor): Its item.
        scores (Tensor): Its score, float64.
        axis (int): Where the items lie in a tile: 1 if its rows are the queries, else 0.

    Shape:
        - owner, partner, scores: ``(P,)``.
    """

    def __init__(
        self, queries: Rows, items: Rows, owner: Tensor, partner: Tensor, scores: Tensor, axis: int
    ) -> None:
        self.has_pair = torch.bincount(owner, minlength=len(queries)) > 0  # (Q,)
        self.queries, self.items, self.axis = queries, items, axis
        self.owner, self.partner, self.scores = owner, partner, scores

    def check_all_paired(self) -> None:
        """Refuse a query without a positive."""
        missing = (~self.has_pair).nonzero().flatten()
        if len(missing):
            raise ValueError(
                f'{len(missing)} of {len(self.queries)} {self.queries.name} rows have '
                f'no positive, first rows {missing[:5].tolist()}'
            )

    def best(self) -> SideCounts:
        """Prepare counting against the best positive of every query."""
        best = self.scores.new_full((len(self.queries),), -torch.inf)
        best = best.scatter_reduce(0, self.owner, self.scores, 'amax')  # (Q,)
        first = torch.where(self.scores == best[self.owner], self.partner, len(self.items))
        chosen = self.owner.new_full((len(best),), len(self.items))
        chosen = chosen.scatter_reduce(0, self.owner, first, 'amin')
        # A query without a positive is compared with any, and left out at the end.
        return SideCounts(self.queries, self.items, chosen.where(self.has_pair, 0), best, self.axis)

    def tied_with(self, counts: SideCounts) -> Tensor:
        """Count the positives, (Q,) long, that score the same as the best one, with itself."""
        chosen, owner = counts.chosen[self.owner], self.owner
        lengths = self.items.norms[self.partner] + self.items.norms[chosen]
        near = self.scores >= counts.threshold[owner] - counts.noise[owner] * lengths
        near &= self.partner != chosen
        owner = owner[near]
        order = order_of_pairs(self.queries, self.items, owner, self.partner[near], chosen[near])
        return torch.ones_like(counts.chosen).index_add_(0, owner, (order >= 0).long())


class ScoreTiles:
    """The score matrix of two sets of embeddings, tile by tile.

    Args:
        rows (Tensor): Embeddings of the rows.
        columns (Tensor): Embeddings of the columns.
        pair_row (Tensor): Row of each positive pair, in any order.
        pair_column (Tensor): Its column.
        names (tuple[str, str]): What a row and a column are, for errors.

    Shape:
        - rows: ``(Q, D)``; columns: ``(G, D)``; pair_row, pair_column: ``(P,)``.

    Raises:
        ValueError: If the shapes do not fit, an embedding is not finite, or a pair points outside.
    """

    def __init__(
        self,
        rows: Tensor,
        columns: Tensor,
        pair_row: Tensor,
        pair_column: Tensor,
        names: tuple[str, str],
    ) -> None:
        wider = torch.promote_types(rows.dtype, columns.dtype)
        self.rows = Rows(names[0], rows.to(wider))
        self.columns = Rows(names[1], columns.to(self.rows.embeds.device, wider))
        if rows.shape[1] != columns.shape[1]:
            raise ValueError(
                f'embeddings have different widths, {rows.shape[1]} and {columns.shape[1]}'
            )
        if len(pair_row) != len(pair_column):
            raise ValueError(f'{len(pair_row)} rows and {len(pair_column)} columns make no pairs')
        # A pair that is listed twice would count twice among the tied.
        pairs = torch.unique(
            _checked_index(pair_row, self.rows) * len(columns)
            + _checked_index(pair_column, self.columns)
        )
        self.pair_row, self.pair_column = pairs // len(columns), pairs % len(columns)
        self.pair_scores = scores_of_pairs(self.rows, self.columns, self.pair_row, self.pair_column)

    def row_side(self) -> PairSide:
        """The pairs as the rows see them."""
        return PairSide(
            self.rows, self.columns, self.pair_row, self.pair_column, self.pair_scores, axis=1
        )

    def column_side(self) -> PairSide:
        """The pairs as the columns see them."""
        return PairSide(
            self.columns, self.rows, self.pair_column, self.pair_row, self.pair_scores, axis=0
        )

    @torch.no_grad()
    def run(self, sides: list[SideCounts], chunk_size: int) -> None:
        """Multiply, mask and count every tile.

        Exact where float32 products are: on a GPU that may use TF32, the caller enters
        :func:`urbancross_mm.utils.devices.full_precision`.

        Args:
            sides (list[SideCounts]): What to count.
            chunk_size (int): Rows, and columns, of a tile.

        Raises:
            ValueError: If ``chunk_size`` is not positive.
        """
        if chunk_size < 1:
            raise ValueError(f'chunk_size must be at least 1, got {chunk_size}')
        rows, columns = self.rows.embeds, self.columns.embeds
        height, width = min(chunk_size, len(rows)), min(chunk_size, len(columns))
        # Flat, so that the smaller tiles at the edges are contiguous too.
        scores, buffer = rows.new_empty(2, height * width)
        for row, column, pairs in self._tiles(chunk_size):
            left, right = rows[row : row + chunk_size], columns[column : column + chunk_size]
            tile = scores[: len(left) * len(right)].view(len(left), len(right))
            torch.mm(left, right.t(), out=tile)  # autocast leaves products with out= alone
            tile[pairs] = -torch.inf
            # Once a tile, whichever side asks for it; hardly ever for ordinary embeddings.
            precise = cache(partial(_precise_tile, left, right, pairs))
            for side in sides:
                side.add(tile, buffer[: tile.numel()].view_as(tile), (row, column), precise)

    def _tiles(self, chunk_size: int) -> Iterator[tuple[int, int, tuple[Tensor, Tensor]]]:
        """Yield first row, first column and the positive pairs of every tile, inside the tile."""
        across = -(-len(self.columns) // chunk_size)
        down = -(-len(self.rows) // chunk_size)
        tile_of_pair = self.pair_row // chunk_size * across + self.pair_column // chunk_size
        order = tile_of_pair.argsort()
        sizes = torch.bincount(tile_of_pair, minlength=down * across).tolist()
        pairs = zip(
            (self.pair_row % chunk_size)[order].split(sizes),
            (self.pair_column % chunk_size)[order].split(sizes),
        )
        for index, pair in enumerate(pairs):
            yield index // across * chunk_size, index % across * chunk_size, pair


def _precise_tile(left: Tensor, right: Tensor, pairs: tuple[Tensor, Tensor]) -> Tensor:
    tile = left.double() @ right.double().t()
    tile[pairs] = -torch.inf
    return tile


def _checked_index(index: Tensor, rows: Rows) -> Tensor:
    index = torch.as_tensor(index, device=rows.embeds.device)
    if len(index) and (int(index.min()) < 0 or int(index.max()) >= len(rows)):
        raise ValueError(
            f'pairs point at rows {int(index.min())} to {int(index.max())} of '
            f'{len(rows)} embeddings'
        )
    return index.long()
