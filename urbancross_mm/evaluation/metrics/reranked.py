"""Recall after a correction of the scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from urbancross_mm.evaluation.metrics.galleries import Galleries
from urbancross_mm.functional.ranking import PositiveRanks
from urbancross_mm.functional.reranking import build_reranker
from urbancross_mm.functional.score_ranks import score_ranks

# Scores of a matrix; with its copies it needs about 24 bytes each, 6 GB.
MAX_SCORES = 2**28
# The last digit that counts: equal embeddings have products that differ by 1e-16.
DIGIT = 1e-10
ROWS = 1024


class RerankedRanks:
    """The ``rerank`` of :class:`RecallAtK`: ranks of corrected scores of images and captions.

    Args:
        rerank (Mapping): ``type`` and options, see
            :func:`urbancross_mm.functional.reranking.build_reranker`.

    Raises:
        ValueError: If the type or an option is not possible.
    """

    def __init__(self, rerank: Mapping[str, Any]) -> None:
        self.name = ', '.join(f'{key}={value}' for key, value in rerank.items())
        self._correct = build_reranker(rerank)

    @torch.no_grad()
    def __call__(self, data: Galleries, pairs: tuple[Tensor, Tensor]) -> dict[str, PositiveRanks]:
        """Correct the scores of each direction by its own queries, and rank.

        Args:
            data (Galleries): Of images and captions.
            pairs (tuple[Tensor, Tensor]): What is relevant.

        Returns:
            dict[str, PositiveRanks]: ``i2t`` and ``t2i``.

        Raises:
            ValueError: If the matrix of scores is too large.
        """
        count = len(data.image_embeds) * len(data.caption_text)
        if count > MAX_SCORES:
            raise ValueError(
                f'rerank needs the whole matrix of scores, here {len(data.image_embeds)} images x '
                f'{len(data.caption_text)} captions = {count:,}; the limit is {MAX_SCORES:,}: '
                'leave out rerank, or test on fewer images'
            )
        print_log(
            f'RecallAtK: rerank/* are corrected scores ({self.name}). The bank is the other test '
            'queries (transductive): another protocol than the plain numbers, where each query is '
            'alone',
            'current',
        )
        # Columns of equal captions are copies, and so tie.
        scores = _products(data.image_embeds, data.text_embeds)[:, data.caption_text]
        ranks = {}
        for side, matrix, (query, item) in (
            ('i2t', scores, pairs),
            ('t2i', scores.t(), pairs[::-1]),
        ):
            ranks[side] = score_ranks(_rounded(self._correct(matrix)), query, item)
        return ranks


def _products(first: Tensor, second: Tensor) -> Tensor:
    second = second.double().t()
    return torch.cat([_rounded(rows.double() @ second) for rows in first.split(ROWS)])


def _rounded(scores: Tensor) -> Tensor:
    """In place."""
    return scores.div_(DIGIT).round_().mul_(DIGIT)
