"""What a model gets wrong on a test set: lists of results, ranks, and the worst queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from urbancross_mm.evaluation import RecallAtK
from urbancross_mm.evaluation.metrics import pair_ranks
from urbancross_mm.evaluation.metrics.galleries import Galleries, assemble
from urbancross_mm.functional import ranking
from urbancross_mm.inference.index.base_index import BaseIndex
from urbancross_mm.inference.index.torch_index import TorchIndex
from urbancross_mm.inference.pair_scores import PairIndex
from urbancross_mm.structures import RetrievalDataSample
from urbancross_mm.utils.devices import full_precision

_QUERIES = 1024  # searched at once
# Upper ends of the groups of ranks.
_ENDS = (1, 5, 10, 50, 100)


class Answers(NamedTuple):
    """What the queries of one direction find; Q queries, lists of K.

    Attributes:
        query: ``(Q,)``, the row of each query: of an image, or of a caption.
        rank: ``(Q,)``, the rank of the first relevant item, from 1; a tie counts in expectation.
        found: ``(Q, K)``, the rows of what is found, best first.
        score: ``(Q, K)``.
        right: ``(Q, K)``, whether it is relevant.
    """

    query: Tensor
    rank: Tensor
    found: Tensor
    score: Tensor
    right: Tensor

    def worst(self, number: int) -> Tensor:
        """Positions of the queries whose first relevant item ranks last, the worst first.

        Args:
            number (int): How many at most.

        Returns:
            Tensor: Among equals, the earlier query first.
        """
        return self.rank.argsort(descending=True, stable=True)[:number]


class RetrievalErrors:
    """Results of a test set in both directions, by the relevance of :class:`RecallAtK`.

    The whole matrix of scores is never held. Of equal scores in a list, the item that was listed
    first comes first.

    Args:
        samples (Sequence[RetrievalDataSample]): After ``predict``.
        metric (RecallAtK): Says what is relevant.
        topk (int): Length of the lists. Defaults to 5.

    Raises:
        ValueError: If ``topk`` is not positive, or the metric refuses the samples.
    """

    def __init__(
        self, samples: Sequence[RetrievalDataSample], metric: RecallAtK, topk: int = 5
    ) -> None:
        if topk < 1:
            raise ValueError(f'topk must be at least 1, got {topk}')
        metric.process(None, [sample.to_dict() for sample in samples])
        self.data: Galleries = assemble(metric.in_order(metric.results))
        self.topk = topk
        self._samples = {sample.img_id: sample for sample in samples}
        self._texts = {
            text_id: caption
            for sample in samples
            for text_id, caption in zip(sample.caption_text_ids, sample.captions)
        }
        images, captions = self.data.image_embeds, self.data.text_embeds[self.data.caption_text]
        pairs = metric.relevant_pairs(self.data)
        score = metric.score_pairs
        with full_precision():
            ranks = pair_ranks.bidirectional_ranks(images, captions, *pairs, score)
        indexes: list[BaseIndex] = (
            [TorchIndex(), TorchIndex()]
            if score is None
            else [PairIndex(score), PairIndex(lambda texts, items: score(items, texts).t())]
        )
        self.i2t = _answers(images, captions, pairs, ranks[0], topk, indexes[0])
        self.t2i = _answers(captions, images, pairs[::-1], ranks[1], topk, indexes[1])

    def summary(self) -> dict[str, Any]:
        """Count.

        Returns:
            dict: ``images``, ``captions`` and ``topk``; ``i2t``: how many images have 0, 1, ... of
            their captions among the first K (``right``), and how many have at least so many
            (``at_least``); ``t2i``: captions by the rank of their image (``ranks``); of both
            ``MedR`` and ``MeanR``.
        """
        right = torch.bincount(self.i2t.right.sum(dim=1), minlength=self.topk + 1)
        at_least = right.flip(0).cumsum(0).flip(0)
        return dict(
            images=len(self.data.image_ids),
            captions=len(self.data.caption_text),
            topk=self.topk,
            i2t=dict(
                right={str(k): int(count) for k, count in enumerate(right)},
                at_least={str(k): int(count) for k, count in enumerate(at_least) if k},
                **_means(self.i2t.rank),
            ),
            t2i=dict(ranks=_groups(self.t2i.rank), **_means(self.t2i.rank)),
        )

    def image_record(self, position: int) -> dict[str, Any]:
        """What an image finds.

        Args:
            position (int): Of the query among those of ``i2t``.

        Returns:
            dict: ``img_id``, ``img_path``, ``rank``, ``captions`` of its own, and ``found``: for
            each caption ``score``, ``right``, ``caption`` and the ``img_id`` it belongs to.
        """
        side = self.i2t
        found = [
            dict(
                score=score,
                right=right,
                caption=self._caption(row),
                img_id=self._image(row)['img_id'],
            )
            for row, score, right in _list(side, position)
        ]
        own = self._sample(int(side.query[position]))
        return dict(
            _named(own),
            rank=float(side.rank[position]),
            captions=list(own.captions),
            found=found,
        )

    def caption_record(self, position: int) -> dict[str, Any]:
        """What a caption finds.

        Args:
            position (int): Of the query among those of ``t2i``.

        Returns:
            dict: ``caption``, ``img_id`` and ``img_path`` of its image, ``rank``, and ``found``:
            for each image ``score``, ``right``, ``img_id`` and ``img_path``.
        """
        side = self.t2i
        row = int(side.query[position])
        found = [
            dict(score=score, right=right, **_named(self._sample(image)))
            for image, score, right in _list(side, position)
        ]
        return dict(
            caption=self._caption(row),
            **self._image(row),
            rank=float(side.rank[position]),
            found=found,
        )

    def _caption(self, row: int) -> str:
        return self._texts[self.data.text_ids[int(self.data.caption_text[row])]]

    def _image(self, caption: int) -> dict[str, Any]:
        """The image that a caption belongs to."""
        return _named(self._sample(int(self.data.caption_image[caption])))

    def _sample(self, row: int) -> RetrievalDataSample:
        return self._samples[self.data.image_ids[row]]


def _answers(
    queries: Tensor,
    gallery: Tensor,
    pairs: tuple[Tensor, Tensor],
    ranks: ranking.PositiveRanks,
    topk: int,
    index: BaseIndex,
) -> Answers:
    asking = pairs[0].unique()  # a query without a right item is none
    index.add(gallery)
    results = [index.search(queries[some], topk) for some in asking.split(_QUERIES)]
    found = torch.cat([result.indices for result in results])
    keys = pairs[0] * len(gallery) + pairs[1]
    right = torch.isin(asking[:, None] * len(gallery) + found, keys)
    scores = torch.cat([result.scores for result in results])
    return Answers(asking, ranking.rank_values(ranks), found, scores, right)


def _list(side: Answers, position: int) -> list[tuple[int, float, bool]]:
    columns = (values[position].tolist() for values in (side.found, side.score, side.right))
    return list(zip(*columns))


def _named(sample: RetrievalDataSample) -> dict[str, Any]:
    return dict(img_id=sample.img_id, img_path=sample.img_path)


def _means(rank: Tensor) -> Mapping[str, float]:
    return dict(MedR=float(rank.quantile(0.5)), MeanR=float(rank.mean()))


def _groups(rank: Tensor) -> dict[str, int]:
    """How many ranks lie in each group; an expected rank of 1.5 is not the first."""
    groups, low = {}, 0
    for end in _ENDS:
        name = str(end) if end == low + 1 else f'{low + 1}-{end}'
        groups[name] = int(((rank > low) & (rank <= end)).sum())
        low = end
    groups[f'{low + 1}-'] = int((rank > low).sum())
    return groups
