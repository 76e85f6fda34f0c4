"""Reciprocal rank of the best positive, and precision over the ranks of all positives.

Ties count as in :mod:`ranking`: in expectation over all orders of the tied items, or at worst, or
at best. Letters: Q queries, N images, M texts, P positive pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from urbancross_mm.functional.exact_scores import order_of_pairs
from urbancross_mm.functional.ranking import PositiveRanks, rank_values
from urbancross_mm.functional.side_counts import SideCounts
from urbancross_mm.functional.tiles import PairSide, ScoreTiles


def reciprocal_ranks(ranks: PositiveRanks, ties: str = 'expected') -> Tensor:
    """One over the rank of the first positive of each query, for the mean reciprocal rank.

    Args:
        ranks (PositiveRanks): Counts of :func:`urbancross_mm.functional.ranking.positive_ranks`.
        ties (str): See :func:`urbancross_mm.functional.ranking.recall_at_k`. Defaults to
            'expected'.

    Shape:
        - output: ``(Q,)``.

    Returns:
        Tensor: float64, 0 to 1.

    Raises:
        ValueError: If ``ties`` is unknown.
    """
    values = 1 / rank_values(ranks, ties)
    if ties != 'expected':
        return values
    counts = torch.stack(ranks, dim=1)  # (Q, 3)
    tied = counts[:, 1] > 0
    cases, case_of_query = torch.unique(counts[tied], dim=0, return_inverse=True)
    means = [_mean_reciprocal(*case) for case in cases.tolist()]
    values[tied] = values.new_tensor(means)[case_of_query]
    return values


def average_precisions(
    image_embeds: Tensor,
    text_embeds: Tensor,
    pair_image: Tensor,
    pair_text: Tensor,
    chunk_size: int = 1024,
    ties: str = 'expected',
) -> tuple[Tensor, Tensor]:
    """Average precision in both directions: the mean over the positives of the precision there.

    It costs one comparison of the tile for each positive that a query has at most.

    Args:
        image_embeds (Tensor): Embeddings of the images.
        text_embeds (Tensor): Embeddings of the texts.
        pair_image (Tensor): Row of the image of each positive pair, in any order.
        pair_text (Tensor): Row of its text.
        chunk_size (int): Images, and texts, of one tile. Defaults to 1024.
        ties (str): See :func:`urbancross_mm.functional.ranking.recall_at_k`. Defaults to
            'expected'.

    Shape:
        - image_embeds: ``(N, D)``; text_embeds: ``(M, D)``; pair_image, pair_text: ``(P,)``;
          outputs: one value for each image, and each text, that has a pair.

    Returns:
        tuple[Tensor, Tensor]: Image to text and text to image, float64, 0 to 1.

    Reference:
        McSherry and Najork, Computing information retrieval performance measures efficiently in
        the presence of tied scores (https://doi.org/10.1007/978-3-540-78646-7_38).
    """
    tiles = ScoreTiles(image_embeds, text_embeds, pair_image, pair_text, names=('image', 'text'))
    sides = [_Levels(tiles.row_side()), _Levels(tiles.column_side())]
    tiles.run([counts for side in sides for counts in side.counts], chunk_size)
    first, second = (side.precision(ties) for side in sides)
    return first, second


class _Levels:
    """The positives of every query by falling score, those of one score together."""

    def __init__(self, side: PairSide) -> None:
        # By query, and within a query by falling score.
        order = side.scores.argsort(descending=True, stable=True)
        order = order[side.owner[order].argsort(stable=True)]
        owner, partner = side.owner[order], side.partner[order]
        same = owner[1:] == owner[:-1]
        order_of_next = order_of_pairs(
            side.queries, side.items, owner[1:], partner[1:], partner[:-1]
        )
        begins = torch.cat([same.new_ones(min(1, len(owner))), ~same | (order_of_next != 0)])
        first = begins.nonzero().flatten()  # (L,) pair that each level begins with
        self.has_pair = side.has_pair
        self.owner = owner[first]  # (L,)
        self.size = torch.diff(first, append=first.new_tensor([len(owner)])).double()
        own = torch.bincount(owner, minlength=len(side.queries))
        self.before = (first - (own.cumsum(0) - own)[self.owner]).double()  # positives, (L,)
        levels = torch.bincount(self.owner, minlength=len(side.queries))
        begin = levels.cumsum(0) - levels
        self.number = torch.arange(len(first), device=first.device) - begin[self.owner]
        self.counts = []
        for number in range(int(levels.max())):
            # A query with fewer levels repeats its last, and one without any takes any item.
            row = first[(begin + (levels - 1).clamp(min=0, max=number)).clamp(max=len(first) - 1)]
            self.counts.append(
                SideCounts(
                    side.queries, side.items, partner[row], side.scores[order][row], side.axis
                )
            )

    def precision(self, ties: str) -> Tensor:
        """Average precision of every query that has a positive."""
        above, negatives = (
            torch.stack([getattr(counts, name) for counts in self.counts])[
                self.number, self.owner
            ].double()
            for name in ('above', 'tied')
        )  # (L,)
        start = above + self.before  # all items above the level
        if ties == 'expected':
            total = _expected_precision(start, self.before, negatives, self.size)
        else:
            start = start + negatives if ties == 'pessimistic' else start
            # sum of (before + i) / (start + i) for i = 1 ... size
            total = self.size + (self.before - start) * (
                _harmonic(start + self.size) - _harmonic(start)
            )
        queries = len(self.has_pair)
        summed = total.new_zeros(queries).index_add_(0, self.owner, total)
        number = total.new_zeros(queries).index_add_(0, self.owner, self.size)
        return (summed / number.clamp(min=1))[self.has_pair]


def _expected_precision(
    start: Tensor, before: Tensor, negatives: Tensor, positives: Tensor
) -> Tensor:
    """Sum of the precisions at the positives of a level, over all orders of the level.

    At rank j of m an item is positive with probability r / m, and then (j - 1) (r - 1) / (m - 1)
    positives of the level come before it: the sum of (b + c j) / (start + j) has a closed form.
    """
    size = negatives + positives
    slope = (positives - 1) / (size - 1).clamp(min=1)
    rest = before + 1 - slope * (1 + start)
    return positives / size * (slope * size + rest * (_harmonic(start + size) - _harmonic(start)))


def _mean_reciprocal(above: int, negatives: int, positives: int) -> float:
    """Mean of 1 / rank of the first positive over all orders of the tied."""
    rank = torch.arange(1, negatives + 2, dtype=torch.float64)
    size = torch.tensor(negatives + positives, dtype=torch.float64)
    chance = (_log_choose(size - rank, positives - 1) - _log_choose(size, positives)).exp()
    return float((chance / (above + rank)).sum())


def _log_choose(total: Tensor, chosen: int) -> Tensor:
    count = torch.tensor(float(chosen), dtype=torch.float64)
    return (total + 1).lgamma() - (count + 1).lgamma() - (total - count + 1).lgamma()


def _harmonic(number: Tensor) -> Tensor:
    """1 + 1/2 + ... + 1/number, less a constant."""
    return (number + 1).digamma()
