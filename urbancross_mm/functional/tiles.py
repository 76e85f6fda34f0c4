"""Counting in tiles of the score matrix: what :mod:`ranking` is made of.

The whole matrix is never held. A tile is multiplied once, its right pairs are masked out, and the
wrong items that reach the thresholds are counted along its rows, its columns, or both.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from urbancross_mm.functional.similarity import (
    TIE_TOLERANCE,
    FullPrecision,
    as_float,
    paired_product,
)


class SideCounts:
    """Thresholds and running counts of the rows, or of the columns, of the score matrix.

    Args:
        owner (Tensor): Row (or column) of each right pair.
        scores (Tensor): Score of each right pair.
        tolerance (Tensor): Scores closer than this are equal, for each row (or column).
        axis (int): Axis of a tile that is summed: 1 counts for rows, 0 for columns.

    Shape:
        - owner, scores: ``(P,)``; tolerance: ``(Q,)``.
    """

    def __init__(self, owner: Tensor, scores: Tensor, tolerance: Tensor, axis: int) -> None:
        best = torch.full_like(tolerance, -torch.inf).scatter_reduce(0, owner, scores, 'amax')
        self.axis = axis
        self.low, self.high = best - tolerance, best + tolerance
        self.tied_positives = torch.zeros(len(best), dtype=torch.long, device=best.device)
        self.tied_positives.index_add_(0, owner, (scores >= self.low[owner]).long())
        self.reaching = torch.zeros_like(self.tied_positives)
        self.above = torch.zeros_like(self.tied_positives)

    def add(self, tile: Tensor, buffer: Tensor, ones: Tensor, row: int, column: int) -> None:
        """Count the items of one tile.

        Args:
            tile (Tensor): Scores, the right pairs at -inf.
            buffer (Tensor): Room for the comparisons.
            ones (Tensor): Ones, at least as many as the tile is long or wide.
            row (int): First row of the tile in the score matrix.
            column (int): First column.

        Shape:
            - tile, buffer: ``(H, W)``.
        """
        # Comparisons as 0/1 floats, summed by a matrix-vector product: an integer reduction of a
        # bool tensor takes several times as long. float32 counts exactly up to 2 ** 24 a tile.
        start = row if self.axis == 1 else column
        flags = buffer if self.axis == 1 else buffer.t()
        here = slice(start, start + len(flags))
        ones = ones[:flags.shape[1]]
        torch.ge(tile, self.low[here].unsqueeze(self.axis), out=buffer)
        self.reaching[here] += torch.mv(flags, ones).long()
        torch.gt(tile, self.high[here].unsqueeze(self.axis), out=buffer)
        self.above[here] += torch.mv(flags, ones).long()

    def result(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``above, tied_negatives, tied_positives``, each ``(Q,)`` long."""
        return self.above, self.reaching - self.above, self.tied_positives


class ScoreTiles:
    """The score matrix of two sets of embeddings, tile by tile.

    Args:
        rows (Tensor): Embeddings of the rows.
        columns (Tensor): Embeddings of the columns.
        pair_row (Tensor): Row of each right pair, in any order.
        pair_column (Tensor): Its column.
        names (tuple[str, str]): What a row and a column are, for errors.

    Shape:
        - rows: ``(Q, D)``; columns: ``(G, D)``; pair_row, pair_column: ``(P,)``.

    Raises:
        ValueError: If the shapes do not fit, an embedding is not finite, or a pair points outside.
    """

    def __init__(self, rows: Tensor, columns: Tensor, pair_row: Tensor, pair_column: Tensor,
                 names: tuple[str, str]) -> None:
        self.names = names
        self.rows, self.row_norms = _checked_embeds(names[0], rows)
        self.columns, self.column_norms = _checked_embeds(names[1], columns.to(self.rows))
        if self.rows.shape[1] != self.columns.shape[1]:
            raise ValueError(f'embeddings have different widths, {self.rows.shape[1]} and '
                             f'{self.columns.shape[1]}')
        if len(pair_row) != len(pair_column):
            raise ValueError(f'{len(pair_row)} rows and {len(pair_column)} columns make no pairs')
        # A pair that is listed twice would count twice among the tied.
        pairs = torch.unique(_checked_index(pair_row, self.rows) * len(self.columns)
                             + _checked_index(pair_column, self.columns))
        self.pair_row, self.pair_column = pairs // len(self.columns), pairs % len(self.columns)
        chunks = [paired_product(self.rows[row], self.columns[column]) for row, column
                  in zip(self.pair_row.split(1024), self.pair_column.split(1024))]
        self.pair_scores = torch.cat(chunks) if chunks else self.rows.new_zeros(0)

    def row_counts(self) -> SideCounts:
        """Prepare counting for every row; ValueError if one has no right item."""
        tolerance = _tolerance(self.row_norms, self.column_norms)
        _check_every_row_has_pair(self.names[0], self.pair_row, len(self.rows))
        return SideCounts(self.pair_row, self.pair_scores, tolerance, axis=1)

    def column_counts(self) -> SideCounts:
        """Prepare counting for every column; ValueError if one has no right item."""
        tolerance = _tolerance(self.column_norms, self.row_norms)
        _check_every_row_has_pair(self.names[1], self.pair_column, len(self.columns))
        return SideCounts(self.pair_column, self.pair_scores, tolerance, axis=0)

    @torch.no_grad()
    def run(self, sides: list[SideCounts], chunk_size: int) -> None:
        """Multiply, mask and count every tile.

        Args:
            sides (list[SideCounts]): What to count.
            chunk_size (int): Rows, and columns, of a tile.

        Raises:
            ValueError: If ``chunk_size`` is not positive.
        """
        if chunk_size < 1:
            raise ValueError(f'chunk_size must be at least 1, got {chunk_size}')
        height, width = min(chunk_size, len(self.rows)), min(chunk_size, len(self.columns))
        # Flat, so that the smaller tiles at the edges are contiguous too.
        scores, buffer = self.rows.new_empty(2, height * width)
        ones = self.rows.new_ones(max(height, width))
        with FullPrecision(self.rows.device):
            for row, column, pairs in self._tiles(chunk_size):
                left, right = (self.rows[row:row + chunk_size],
                               self.columns[column:column + chunk_size])
                tile = scores[:len(left) * len(right)].view(len(left), len(right))
                torch.mm(left, right.t(), out=tile)
                tile[pairs] = -torch.inf
                for side in sides:
                    side.add(tile, buffer[:tile.numel()].view_as(tile), ones, row, column)

    def _tiles(self, chunk_size: int) -> Iterator[tuple[int, int, tuple[Tensor, Tensor]]]:
        """Yield first row, first column and the right pairs of every tile, inside the tile."""
        across = -(-len(self.columns) // chunk_size)
        down = -(-len(self.rows) // chunk_size)
        tile_of_pair = self.pair_row // chunk_size * across + self.pair_column // chunk_size
        order = tile_of_pair.argsort()
        sizes = torch.bincount(tile_of_pair, minlength=down * across).tolist()
        pairs = zip((self.pair_row % chunk_size)[order].split(sizes),
                    (self.pair_column % chunk_size)[order].split(sizes))
        for index, pair in enumerate(pairs):
            yield index // across * chunk_size, index % across * chunk_size, pair


def rows_without_pair(owner: Tensor, count: int) -> Tensor:
    """List the rows that own no right pair.

    Args:
        owner (Tensor): Row of each pair.
        count (int): Number of rows.

    Shape:
        - owner: ``(P,)``; output: ``(R,)``.

    Returns:
        Tensor: Their numbers, ascending.
    """
    return (torch.bincount(owner, minlength=count) == 0).nonzero().flatten()


def _check_every_row_has_pair(name: str, owner: Tensor, count: int) -> None:
    missing = rows_without_pair(owner, count)
    if len(missing):
        raise ValueError(f'{len(missing)} of {count} {name} rows have no right item, first rows '
                         f'{missing[:5].tolist()}')


def _tolerance(norms: Tensor, other_norms: Tensor) -> Tensor:
    longest = other_norms.amax() if len(other_norms) else other_norms.new_zeros(())
    return TIE_TOLERANCE * norms * longest


def _checked_embeds(name: str, embeds: Tensor) -> tuple[Tensor, Tensor]:
    """Return embeddings in float32 at least, and their lengths."""
    if embeds.dim() != 2:
        raise ValueError(f'{name} embeddings must be (rows, width), got {tuple(embeds.shape)}')
    embeds = as_float(embeds.detach())
    # A row with NaN or infinity has no finite length; isfinite() would copy the embeddings twice.
    norms = embeds.norm(dim=1)
    broken = (~norms.isfinite()).nonzero().flatten()
    if len(broken):
        raise ValueError(f'{len(broken)} of {len(embeds)} {name} embeddings hold NaN or infinity, '
                         f'first rows {broken[:5].tolist()}')
    return embeds, norms


def _checked_index(index: Tensor, embeds: Tensor) -> Tensor:
    index = torch.as_tensor(index, device=embeds.device)
    if len(index) and (int(index.min()) < 0 or int(index.max()) >= len(embeds)):
        raise ValueError(f'pairs point at rows {int(index.min())} to {int(index.max())} of '
                         f'{len(embeds)} embeddings')
    return index.long()
