"""Ranks from a matrix of scores, for scores that are no inner products."""

from __future__ import annotations

import torch
from torch import Tensor

from urbancross_mm.functional.ranking import PositiveRanks


@torch.no_grad()
def score_ranks(
    scores: Tensor, pair_query: Tensor, pair_item: Tensor, chunk_size: int = 1024
) -> PositiveRanks:
    """Rank the best positive of every query; equal numbers are ties.

    Args:
        scores (Tensor): Of Q queries and G items.
        pair_query (Tensor): Query of each positive pair, in any order.
        pair_item (Tensor): Its item.
        chunk_size (int): Queries at a time. Defaults to 1024.

    Shape:
        - scores: ``(Q, G)``; pair_query, pair_item: ``(P,)``.

    Returns:
        PositiveRanks: Of the queries that have a positive.

    Raises:
        ValueError: If a score is NaN.
    """
    counts = []
    for start in range(0, len(scores), chunk_size):
        part = scores[start : start + chunk_size]
        if bool(part.isnan().any()):
            raise ValueError(f'scores of queries {start} to {start + len(part) - 1} hold NaN')
        inside = (pair_query >= start) & (pair_query < start + len(part))
        right = torch.zeros(part.shape, dtype=torch.bool, device=part.device)
        right[pair_query[inside] - start, pair_item[inside]] = True
        best = part.where(right, -torch.inf).amax(dim=1, keepdim=True)
        tied = part == best
        columns = ((part > best) & ~right, tied & ~right, tied & right)
        counts.append(torch.stack([column.sum(dim=1) for column in columns])[:, right.any(dim=1)])
    return PositiveRanks(*torch.cat(counts, dim=1))
