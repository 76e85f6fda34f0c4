"""Recall at K, both ways, of images and texts or of any two modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from urbancross_mm.evaluation.metrics.embedding_metric import EmbeddingMetric
from urbancross_mm.evaluation.metrics.galleries import Galleries, assemble, only_domain
from urbancross_mm.evaluation.metrics.modality_pairs import VIEW_FIELD, ModalityPairs
from urbancross_mm.evaluation.metrics.recall_values import RecallValues
from urbancross_mm.evaluation.metrics.reranked import RerankedRanks
from urbancross_mm.functional import ranking
from urbancross_mm.registry import METRICS
from urbancross_mm.utils.devices import full_precision

# Of fewer images chance alone finds a fifth of the captions' images among ten.
FEW_IMAGES = 50


@METRICS.register_module()
class RecallAtK(EmbeddingMetric):
    """Hit rate in percent, images to captions and captions to images, and their mean.

    The protocol of the field: the gallery of captions holds every caption of every image. An
    image hits if any of its own captions is among the first K; every caption is a query with one
    relevant image. ``mR`` is the mean over both directions and all K. Ties count in expectation,
    so equal captions do not depend on the order of a sort, and a collapsed model gets chance.

    An image without captions is a distractor: it is in the gallery of images and counts among
    ``num_images``, but it is no query. A text that no image names is not searched.

    ``MedR`` is the median of the ranks from 1 of the first relevant item, ``MeanR`` their mean. A
    tied rank is an expectation, so a median may lie between two ranks. open_clip reports
    ``floor(median of the ranks from 0) + 1``, which is the same wherever the median is a whole
    number.

    Embeddings are collected, not scores. They are de-duplicated by the ids of images and caption
    texts, so padded batches, any world size and captions that were encoded with another image
    are counted correctly. Of several domains each is also searched in its own gallery.

    Args:
        topk (int | Sequence[int]): Lengths of the list. Defaults to (1, 5, 10).
        ties (str): ``'expected'``, ``'pessimistic'`` or ``'optimistic'``; see
            :func:`urbancross_mm.functional.ranking.recall_at_k`. Defaults to 'expected'.
        equal_captions (bool): Whether every image that carries the same caption is relevant too.
            False is the field's protocol. Defaults to False.
        extra (Sequence[str]): ``'MRR'``: the mean reciprocal rank of the first relevant item;
            ``'mAP'``: the mean average precision over all relevant items. In percent, ties as for
            the recall; no part of ``mR``. Defaults to ().
        pairs (Sequence[str]): Further pairs of modalities: ``'image-audio'`` gives ``i2a_R@1``,
            ``a2i_R@1``, ... and their mean ``mR_image-audio``; ``'text-audio'`` the same with
            ``t2a`` and ``a2t``, where a text finds its own recording. ``'image-image'`` finds an
            image by another view of it, and the view by the image, averaged: ``i2i_R@1``, ... and
            ``mR_image-image``; it needs ``image_view`` of the data preprocessor. Over
            image-text and the pairs with an image there are two means: ``mR_pairs`` gives each
            pair the same weight (the validation score of MCRN), ``mR_recalls`` each recall (its
            test mR, of 15 recalls). ``'text-audio'`` has its own mean only. A caption without a
            recording (-1 in ``caption_audio_ids``) has no pair. Defaults to ().
        rerank (Mapping, optional): A correction of the scores of images and captions, such as
            ``dict(type='multivariate')`` or ``dict(type='inverted_softmax', dynamic=True)``; see
            :func:`urbancross_mm.functional.reranking.build_reranker`. Its numbers come beside the
            plain ones, as ``rerank/i2t_R@1``, ..., ``rerank/mR``, without ``mAP``, and over all
            domains. They read all test queries at once. Defaults to None.
        **kwargs: Of mmengine's ``BaseMetric``: ``collect_device``, ``prefix``, ``collect_dir``.

    Raises:
        ValueError: If ``topk``, ``ties``, ``extra``, a pair or ``rerank`` is unknown.

    Examples:
        In a config: ``val_evaluator = dict(type='RecallAtK')``; then
        ``save_best='retrieval/mR', rule='greater'`` in the checkpoint hook.
    """

    default_prefix = 'retrieval'
    takes_pair_scores = True

    def __init__(
        self,
        topk: int | Sequence[int] = (1, 5, 10),
        ties: str = 'expected',
        equal_captions: bool = False,
        extra: str | Sequence[str] = (),
        pairs: Sequence[str] = (),
        rerank: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.values = RecallValues(topk, ties, extra)
        self.pairs = ModalityPairs(pairs)
        self.modalities = (*self.modalities, *self.pairs.others)
        self.extra_fields = tuple(f'caption_{modality}_ids' for modality in self.modalities)
        if self.pairs.has_views:
            self.image_fields = (*self.image_fields, VIEW_FIELD)
        self.equal_captions = equal_captions
        self.reranked = None if rerank is None else RerankedRanks(rerank)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Rank everything that was collected.

        Args:
            results (list[dict]): Records of :meth:`process`, duplicates among them.

        Returns:
            dict[str, float]: Percentages, ranks from 1, and counts.

        Raises:
            ValueError: If nothing was collected, no image has a caption, an image comes twice with
                other captions, or a caption was never encoded.
        """
        results = self.in_order(results)
        galleries = assemble(results)
        domains = sorted(set(galleries.image_domains))
        with full_precision():
            whole = self._rank(galleries)
            metrics = dict(whole)
            if len(domains) > 1:
                for domain in domains:
                    inside = only_domain(galleries, domain)
                    if len(inside.caption_text):
                        metrics.update(_below(domain, self._rank(inside)))
            if self.pairs:
                parts = (results, galleries, self.relevant_pairs, self.values, whole)
                any_length = self.score_pairs is not None
                metrics.update(self.pairs.metrics(*parts, normalize=any_length))
            if self.reranked is not None:
                relevant = self.relevant_pairs(galleries)
                ranks = self.reranked(galleries, relevant, self.score_pairs)
                metrics.update(_below('rerank', self.values.of_ranks(ranks)))
        self._log_protocol(galleries, domains)
        return metrics

    def _rank(self, data: Galleries) -> dict[str, float]:
        gallery = (
            data.image_embeds,
            data.text_embeds[data.caption_text],
            *self.relevant_pairs(data),
        )
        metrics = self.values.of_gallery(gallery, 'i2t', 't2i', score_pairs=self.score_pairs)
        metrics['num_images'] = len(data.image_embeds)
        metrics['num_texts'] = len(data.caption_text)
        return metrics

    def relevant_pairs(self, data: Galleries) -> tuple[Tensor, Tensor]:
        """What is relevant for what.

        Args:
            data (Galleries): From :func:`assemble`.

        Shape:
            - outputs: ``(P,)``.

        Returns:
            tuple[Tensor, Tensor]: Rows of images, and of the captions that are right for them.
        """
        captions = torch.arange(len(data.caption_text))
        if not self.equal_captions:
            return data.caption_image, captions
        # A caption pairs with the image of every caption of the same text.
        first, second = ranking.pairs_of_equal_ids(data.caption_text, data.caption_text)
        return data.caption_image[second], captions[first]

    def _log_protocol(self, data: Galleries, domains: list[str]) -> None:
        relevant = 'every image with the same caption' if self.equal_captions else 'its own image'
        shown = f', domains {", ".join(domains)}' if len(domains) > 1 else ''
        without = len(data.image_embeds) - len(data.caption_image.unique())
        distractors = f' ({without} of them distractors without captions)' if without else ''
        print_log(
            f'RecallAtK: {len(data.image_embeds)} images{distractors}, {len(data.caption_text)} '
            f'captions ({len(data.caption_text.unique())} distinct){shown}; hit@K in percent, '
            f'relevant for a caption is {relevant}, ties {self.values.ties}'
            f'{self._remark_on_chance(data)}',
            logger='current',
        )

    def _remark_on_chance(self, data: Galleries) -> str:
        images, k = len(data.image_embeds), max(self.values.topk)
        if images >= FEW_IMAGES:
            return ''
        chance = 100 * min(k / images, 1)
        return f'. With few images scores are high: chance gives t2i_R@{k} {chance:.1f}'


def _below(name: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {f'{name}/{key}': value for key, value in metrics.items()}
