"""Exact ranks in tiles, with ties counted apart, and recall from them.

Letters: Q queries, G gallery items, N images, M texts, P pairs (a query and a positive
of it), D embedding width. Scores are inner products.

Scores are compared as if they had no rounding error (see :mod:`exact_scores`), so equal captions,
which have equal embeddings, tie, and nothing else does unless its score is exactly the same.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from urbancross_mm.functional.tiles import PairSide, ScoreTiles

TIES = ('expected', 'pessimistic', 'optimistic')


class PositiveRanks(NamedTuple):
    """Where the best positive of each query stands; (Q,) long tensors.

    Attributes:
        above: Negatives that score higher than the best positive.
        tied_negatives: Negatives that score the same.
        tied_positives: Positives that score the same, itself among them.
    """

    above: Tensor
    tied_negatives: Tensor
    tied_positives: Tensor


def positive_ranks(
    query_embeds: Tensor,
    gallery_embeds: Tensor,
    query_ids: Tensor,
    gallery_ids: Tensor,
    chunk_size: int = 1024,
) -> PositiveRanks:
    """Rank the best positive of every query, where the positives have the same id.

    Args:
        query_embeds (Tensor): Embeddings of the queries.
        gallery_embeds (Tensor): Embeddings of the gallery.
        query_ids (Tensor): Integer id of each query.
        gallery_ids (Tensor): Integer id of each item.
        chunk_size (int): Queries, and items, of one tile: extra memory is a few tiles of
            ``chunk_size ** 2`` floats, and near collapse a copy of the embeddings. The result does
            not depend on it. Defaults to 1024.

    Shape:
        - query_embeds: ``(Q, D)``; gallery_embeds: ``(G, D)``; query_ids: ``(Q,)``;
          gallery_ids: ``(G,)``.

    Returns:
        PositiveRanks: Counts of each query.

    Raises:
        ValueError: If the shapes do not fit, an embedding is not finite, or a query has no item of
            its id.
    """
    query_ids, gallery_ids = torch.as_tensor(query_ids), torch.as_tensor(gallery_ids)
    _check_rows('query_ids', query_ids, len(query_embeds))
    _check_rows('gallery_ids', gallery_ids, len(gallery_embeds))
    pair_query, pair_gallery = pairs_of_equal_ids(
        query_ids.to(query_embeds.device), gallery_ids.to(query_embeds.device)
    )
    missing = (torch.bincount(pair_query, minlength=len(query_ids)) == 0).nonzero().flatten()
    if len(missing):
        raise ValueError(
            f'{len(missing)} of {len(query_ids)} queries have no item of their id in '
            f'the gallery, first ids {query_ids[missing[:5].cpu()].tolist()}'
        )
    tiles = ScoreTiles(
        query_embeds, gallery_embeds, pair_query, pair_gallery, names=('query', 'gallery')
    )
    return _ranks(tiles, [tiles.row_side()], chunk_size)[0]


def bidirectional_ranks(
    image_embeds: Tensor,
    text_embeds: Tensor,
    pair_image: Tensor,
    pair_text: Tensor,
    chunk_size: int = 1024,
    distractors: bool = False,
) -> tuple[PositiveRanks, PositiveRanks]:
    """Rank in both directions from one pass over the scores.

    Args:
        image_embeds (Tensor): Embeddings of the images.
        text_embeds (Tensor): Embeddings of the texts.
        pair_image (Tensor): Row of the image of each positive pair, in any order.
        pair_text (Tensor): Row of its text.
        chunk_size (int): Images, and texts, of one tile. Defaults to 1024.
        distractors (bool): Allow images and texts without a pair. They are searched, and are no
            queries: the result leaves them out. Defaults to False.

    Shape:
        - image_embeds: ``(N, D)``; text_embeds: ``(M, D)``; pair_image, pair_text: ``(P,)``.

    Returns:
        tuple[PositiveRanks, PositiveRanks]: Image to text ``(N,)`` and text to image ``(M,)``.

    Raises:
        ValueError: As for :func:`positive_ranks`, for images and texts.
    """
    tiles = ScoreTiles(image_embeds, text_embeds, pair_image, pair_text, names=('image', 'text'))
    sides = [tiles.row_side(), tiles.column_side()]
    for side in sides:
        if not distractors:
            side.check_all_paired()
    rows, columns = _ranks(tiles, sides, chunk_size)
    return rows, columns


def recall_at_k(ranks: PositiveRanks, k: int, ties: str = 'expected') -> float:
    """Percentage of queries with a positive among the first k.

    Args:
        ranks (PositiveRanks): Counts from one of the functions above.
        k (int): Length of the list, from 1.
        ties (str): ``'expected'``: the mean over all orders of the tied items; ``'pessimistic'``:
            negatives first; ``'optimistic'``: positives first. Defaults to 'expected'.

    Returns:
        float: 0 to 100.

    Raises:
        ValueError: If there is no query, k is not positive, or ``ties`` is unknown.
    """
    return 100.0 * float(hit_probability(ranks, k, ties).mean())


def hit_probability(ranks: PositiveRanks, k: int, ties: str = 'expected') -> Tensor:
    """Probability that a positive is among the first k, for each query.

    With ``a`` negatives above and ``t`` negatives and ``p`` positives tied, ``m = k - a`` ranks are
    left to the tied: 0 if m <= 0, 1 if m > t, else ``1 - C(t, m) / C(t + p, m)``.

    Args:
        ranks (PositiveRanks): Counts.
        k (int): Length of the list, from 1.
        ties (str): As for :func:`recall_at_k`. Defaults to 'expected'.

    Shape:
        - output: ``(Q,)``.

    Returns:
        Tensor: float64, 0 to 1.

    Raises:
        ValueError: If there is no query, k is not positive, or ``ties`` is unknown.
    """
    _check_ties(ties)
    if k < 1:
        raise ValueError(f'k must be at least 1, got {k}')
    if len(ranks.above) == 0:
        raise ValueError('no queries: recall of nothing is not defined')
    if ties != 'expected':
        return (rank_values(ranks, ties) <= k).double()
    above, negatives, positives = (count.double() for count in ranks)
    ranks_left = (k - above).clamp(min=0)
    miss = torch.ones_like(above)
    # C(t, m) / C(t + p, m) = prod_{j < m} (t - j) / (t + p - j); no factorial, no overflow, and
    # exactly 0 once m > t. As t + p > t, beyond the largest t nothing changes.
    for j in range(min(k, int(negatives.max()) + 1)):
        factor = (negatives - j).clamp(min=0) / (negatives + positives - j).clamp(min=1)
        miss *= torch.where(ranks_left > j, factor, 1.0)
    return 1 - miss


def rank_values(ranks: PositiveRanks, ties: str = 'expected') -> Tensor:
    """Rank of the first positive, from 1, for median and mean rank.

    Args:
        ranks (PositiveRanks): Counts.
        ties (str): ``'expected'``: ``a + 1 + t / (p + 1)``, the mean over all orders of the tied;
            ``'pessimistic'``: ``a + t + 1``; ``'optimistic'``: ``a + 1``. Defaults to 'expected'.

    Shape:
        - output: ``(Q,)``.

    Returns:
        Tensor: float64.

    Raises:
        ValueError: If ``ties`` is unknown.
    """
    _check_ties(ties)
    above, negatives, positives = (count.double() for count in ranks)
    if ties == 'expected':
        return above + 1 + negatives / (positives + 1)
    return above + 1 + negatives if ties == 'pessimistic' else above + 1


def pairs_of_equal_ids(query_ids: Tensor, gallery_ids: Tensor) -> tuple[Tensor, Tensor]:
    """List every pair of a query and an item that have the same id.

    Args:
        query_ids (Tensor): Integer ids.
        gallery_ids (Tensor): Integer ids.

    Shape:
        - query_ids: ``(Q,)``; gallery_ids: ``(G,)``; outputs: ``(P,)``.

    Returns:
        tuple[Tensor, Tensor]: Rows of the queries, ascending, and rows of the items.
    """
    ordered, order = gallery_ids.sort(stable=True)
    first = torch.searchsorted(ordered, query_ids)
    count = torch.searchsorted(ordered, query_ids, right=True) - first
    pair_query = torch.repeat_interleave(count)
    # Position of each pair among the pairs of its query, counted from the query's first item.
    begin = count.cumsum(0) - count
    offset = torch.arange(len(pair_query), device=count.device) - begin[pair_query]
    return pair_query, order[first[pair_query] + offset]


def _ranks(tiles: ScoreTiles, sides: list[PairSide], chunk_size: int) -> list[PositiveRanks]:
    counts = [side.best() for side in sides]
    tiles.run(counts, chunk_size)
    return [
        PositiveRanks(
            *(
                numbers[side.has_pair]
                for numbers in (count.above, count.tied, side.tied_with(count))
            )
        )
        for side, count in zip(sides, counts)
    ]


def _check_rows(name: str, ids: Tensor, rows: int) -> None:
    if ids.dim() != 1 or len(ids) != rows or ids.is_floating_point():
        raise ValueError(
            f'{name} must be {rows} integers, one per embedding; got {ids.dtype} of '
            f'shape {tuple(ids.shape)}'
        )


def _check_ties(ties: str) -> None:
    if ties not in TIES:
        raise ValueError(f'ties must be one of {TIES}, got {ties!r}')
