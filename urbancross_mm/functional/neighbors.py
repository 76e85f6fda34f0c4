"""Nearest-neighbor matching between two unpaired sets.

Letters: N and M items of the two sets, e.g. images and texts.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def csls(scores: Tensor, neighbors: int = 10) -> Tensor:
    """Scores made comparable between crowded and empty regions.

    Args:
        scores (Tensor): Cosines.
        neighbors (int): How many nearest neighbors measure how crowded a region is; no more than
            there are. Defaults to 10.

    Shape:
        - scores, output: ``(N, M)``.

    Returns:
        Tensor: ``2 s_ij - r_i - r_j``, r the mean cosine to the nearest neighbors on the other
        side.

    Reference:
        Conneau et al., Word translation without parallel data (https://arxiv.org/abs/1710.04087).
    """
    by_row = scores.topk(min(neighbors, scores.shape[1]), dim=1).values.mean(dim=1)
    by_column = scores.topk(min(neighbors, scores.shape[0]), dim=0).values.mean(dim=0)
    return 2 * scores - by_row[:, None] - by_column


class MutualPairs(NamedTuple):
    """Pairs that chose each other: ``rows`` and ``columns`` (P,) long, ``scores`` (P,)."""

    rows: Tensor
    columns: Tensor
    scores: Tensor


@torch.no_grad()
def mutual_nearest(scores: Tensor) -> MutualPairs:
    """Find rows and columns that are each other's best, the most confident first.

    Args:
        scores (Tensor): Similarities, e.g. of :func:`csls`.

    Shape:
        - scores: ``(N, M)``; see :class:`MutualPairs`.

    Returns:
        MutualPairs: The pairs.
    """
    best_column, best_row = scores.argmax(dim=1), scores.argmax(dim=0)
    rows = torch.arange(len(scores), device=scores.device)
    rows = rows[best_row[best_column] == rows]
    columns = best_column[rows]
    values = scores[rows, columns]
    order = values.argsort(descending=True, stable=True)
    return MutualPairs(rows[order], columns[order], values[order])
