"""Ranks of a model that scores pairs, so that no two vectors give a score.

Letters: N images, M texts, P positive pairs. Only a few rows of the N x M scores are held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from urbancross_mm.functional import ranking
from urbancross_mm.utils.progress import track

Scorer = Callable[[Tensor, Tensor], Tensor]

# The scorer rounds in float64, at 1e-13: scores as close as this are the same.
SAME = 1e-9
CHUNK_SIZE = 64


@torch.no_grad()
def bidirectional_ranks(
    image_feats: Tensor,
    text_feats: Tensor,
    pair_image: Tensor,
    pair_text: Tensor,
    score_pairs: Scorer | None,
    chunk_size: int = CHUNK_SIZE,
) -> tuple[ranking.PositiveRanks, ranking.PositiveRanks]:
    """Rank in both directions from one pass over the scores.

    Equal texts are scored once. Images and texts without a pair are searched, and are no queries.

    Args:
        image_feats (Tensor): Of the images.
        text_feats (Tensor): Of the texts.
        pair_image (Tensor): Row of the image of each positive pair, in any order.
        pair_text (Tensor): Row of its text.
        score_pairs (Callable): Scores N images and M texts, ``(N, D), (M, D) -> (N, M)``, in
            float64. None: their inner products, by
            :func:`urbancross_mm.functional.ranking.bidirectional_ranks`.
        chunk_size (int): Images whose scores are held. The result does not depend on it. Defaults
            to 64.

    Shape:
        - image_feats: ``(N, D)``; text_feats: ``(M, D)``; pair_image, pair_text: ``(P,)``.

    Returns:
        tuple[PositiveRanks, PositiveRanks]: Image to text and text to image, of those with a pair.

    Raises:
        ValueError: If a score is not finite, or ``chunk_size`` is not positive.
    """
    if score_pairs is None:
        return ranking.bidirectional_ranks(
            image_feats, text_feats, pair_image, pair_text, distractors=True
        )
    if chunk_size < 1:
        raise ValueError(f'chunk_size must be at least 1, got {chunk_size}')
    pairs = torch.stack([pair_image, pair_text]).unique(dim=1)  # by image; none counts twice
    scores = _scores_of_pairs(image_feats, text_feats, pairs, score_pairs)
    sides = [_Side(len(image_feats), pairs[0], scores), _Side(len(text_feats), pairs[1], scores)]
    for start, tile in _tiles(image_feats, text_feats, score_pairs, chunk_size):
        inside = (pairs[0] >= start) & (pairs[0] < start + len(tile))
        tile[pairs[0, inside] - start, pairs[1, inside]] = -torch.inf
        sides[0].add(tile, slice(start, start + len(tile)))
        sides[1].add(tile.t(), slice(None))
    images, texts = (side.ranks() for side in sides)
    return images, texts


class _Side:
    """Counts of the negatives of every query of one direction, above its best positive."""

    def __init__(self, queries: int, owner: Tensor, scores: Tensor) -> None:
        best = scores.new_full((queries,), -torch.inf).scatter_reduce(0, owner, scores, 'amax')
        self.best = best
        self.above, self.tied, self.positives = best.new_zeros(3, queries, dtype=torch.long)
        self.positives.index_add_(0, owner, (scores >= best[owner] - SAME).long())

    def add(self, scores: Tensor, queries: slice) -> None:
        best = self.best[queries, None]
        above = (scores > best + SAME).sum(dim=1)
        self.above[queries] += above
        self.tied[queries] += (scores >= best - SAME).sum(dim=1) - above

    def ranks(self) -> ranking.PositiveRanks:
        asking = self.positives > 0
        return ranking.PositiveRanks(self.above[asking], self.tied[asking], self.positives[asking])


def _tiles(
    image_feats: Tensor, text_feats: Tensor, score_pairs: Scorer, chunk_size: int
) -> Iterator[tuple[int, Tensor]]:
    """Yield the first image of each tile, and the scores of its images and all texts."""
    distinct, which = text_feats.unique(dim=0, return_inverse=True)
    starts = range(0, len(image_feats), chunk_size)
    for start in track(starts, 'score pairs', len(starts), unit='chunk'):
        scores = _checked(score_pairs(image_feats[start : start + chunk_size], distinct))
        yield start, scores[:, which]


def _scores_of_pairs(
    image_feats: Tensor, text_feats: Tensor, pairs: Tensor, score_pairs: Scorer
) -> Tensor:
    """(P,), from small blocks: the pairs come by image."""
    parts = []
    for image, text in zip(*(rows.split(CHUNK_SIZE) for rows in pairs)):
        images, row = image.unique(return_inverse=True)
        texts, column = text.unique(return_inverse=True)
        parts.append(score_pairs(image_feats[images], text_feats[texts])[row, column])
    return _checked(torch.cat(parts))


def _checked(scores: Tensor) -> Tensor:
    # NaN is above nothing: such a model would rank perfectly.
    if not bool(scores.isfinite().all()):
        raise ValueError(
            'a score of a pair is NaN or infinity, though the features are finite: the weights '
            "of the model's score_pairs are broken"
        )
    return scores.double()
