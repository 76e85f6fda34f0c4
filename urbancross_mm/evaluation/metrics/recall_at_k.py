"""Recall at K, both ways, of images and texts or of any two modalities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from urbancross_mm.evaluation.metrics import pair_ranks
from urbancross_mm.evaluation.metrics.embedding_metric import EmbeddingMetric
from urbancross_mm.evaluation.metrics.galleries import (
    Galleries,
    assemble,
    only_domain,
    pair_captions,
)
from urbancross_mm.functional import average_precision, ranking
from urbancross_mm.registry import METRICS
from urbancross_mm.utils.devices import full_precision

EXTRA = ('MRR', 'mAP')
# Embeddings of both sides, and the rows of each positive pair.
Gallery = tuple[Tensor, Tensor, Tensor, Tensor]
Scorer = pair_ranks.Scorer
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
            ``t2a`` and ``a2t``, where a text finds its own recording. ``mR_pairs`` is then the
            mean over all pairs, that of image and text among them. Defaults to ().
        **kwargs: Of mmengine's ``BaseMetric``: ``collect_device``, ``prefix``, ``collect_dir``.

    Raises:
        ValueError: If ``topk``, ``ties`` or ``extra`` is unknown.

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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pairs = [_modalities(pair) for pair in pairs]
        others = dict.fromkeys(second for _, second in self.pairs)
        self.modalities = (*self.modalities, *others)
        self.extra_fields = tuple(f'caption_{modality}_ids' for modality in self.modalities)
        self.topk = tuple(topk) if isinstance(topk, Iterable) else (topk,)
        if not self.topk or not all(map(_is_length, self.topk)):
            raise ValueError(f'topk must be numbers from 1, got {topk!r}')
        listed = isinstance(extra, Iterable) and not isinstance(extra, str)
        self.extra = tuple(extra) if listed else (extra,)
        if not set(self.extra) <= set(EXTRA):
            raise ValueError(f'extra must be of {EXTRA}, got {extra!r}')
        if ties not in ranking.TIES:
            raise ValueError(f'ties must be one of {ranking.TIES}, got {ties!r}')
        self.ties = ties
        self.equal_captions = equal_captions

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
            metrics = self._rank(galleries)
            if len(domains) > 1:
                for domain in domains:
                    inside = only_domain(galleries, domain)
                    if len(inside.caption_text):
                        values = self._rank(inside)
                        metrics.update({f'{domain}/{name}': v for name, v in values.items()})
            if self.pairs:
                metrics.update(self._rank_pairs(results, galleries, metrics['mR']))
        self._log_protocol(galleries, domains)
        return metrics

    def _rank_pairs(self, results: list[dict], texts: Galleries, mean: float) -> dict[str, float]:
        """Metrics of ``pairs``, and the two means over everything."""
        means, metrics = [mean], {}
        for first, second in self.pairs:
            others = assemble(results, second)
            if first == 'image':
                gallery: Gallery = (
                    others.image_embeds,
                    others.text_embeds[others.caption_text],
                    *self.relevant_pairs(others),
                )
            else:
                gallery = (texts.text_embeds, others.text_embeds, *pair_captions(texts, others))
            values = self._rank_both(gallery, f'{first[0]}2{second[0]}', f'{second[0]}2{first[0]}')
            means.append(values.pop('mR'))
            metrics.update(values)
            metrics[f'mR_{first}-{second}'] = means[-1]
            metrics[f'num_{second}s'] = len(others.text_embeds)
        metrics['mR_pairs'] = sum(means) / len(means)
        return metrics

    def _rank(self, data: Galleries) -> dict[str, float]:
        gallery = (
            data.image_embeds,
            data.text_embeds[data.caption_text],
            *self.relevant_pairs(data),
        )
        metrics = self._rank_both(gallery, 'i2t', 't2i', score_pairs=self.score_pairs)
        metrics['num_images'] = len(data.image_embeds)
        metrics['num_texts'] = len(data.caption_text)
        return metrics

    def _rank_both(
        self, gallery: Gallery, *names: str, score_pairs: Scorer | None = None
    ) -> dict[str, float]:
        """Metrics of both directions of one pair of modalities."""
        if score_pairs is not None and 'mAP' in self.extra:
            raise ValueError("extra='mAP' is not computed for a model that scores pairs: omit it")
        both_ranks = pair_ranks.bidirectional_ranks(*gallery, score_pairs)
        sides = dict(zip(names, both_ranks))
        metrics = {
            f'{side}_R@{k}': ranking.recall_at_k(ranks, k, self.ties)
            for side, ranks in sides.items()
            for k in self.topk
        }
        metrics['mR'] = sum(metrics.values()) / len(metrics)
        for side, ranks in sides.items():
            values = ranking.rank_values(ranks, self.ties)
            metrics[f'{side}_MedR'] = float(values.quantile(0.5))
            metrics[f'{side}_MeanR'] = float(values.mean())
            if 'MRR' in self.extra:
                means = average_precision.reciprocal_ranks(ranks, self.ties)
                metrics[f'{side}_MRR'] = 100 * float(means.mean())
        if 'mAP' in self.extra:
            both = average_precision.average_precisions(*gallery, ties=self.ties)
            metrics.update(
                {f'{side}_mAP': 100 * float(values.mean()) for side, values in zip(sides, both)}
            )
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
            f'relevant for a caption is {relevant}, ties {self.ties}{self._remark_on_chance(data)}',
            logger='current',
        )

    def _remark_on_chance(self, data: Galleries) -> str:
        images, k = len(data.image_embeds), max(self.topk)
        if images >= FEW_IMAGES:
            return ''
        chance = 100 * min(k / images, 1)
        return f'. With few images scores are high: chance gives t2i_R@{k} {chance:.1f}'


def _modalities(pair: str) -> tuple[str, str]:
    first, _, second = pair.partition('-')
    if first not in ('image', 'text') or second in ('', 'image', 'text'):
        raise ValueError(f"a pair is 'image-audio', 'text-audio' or the like, got {pair!r}")
    return first, second


def _is_length(k: object) -> bool:
    return isinstance(k, Integral) and not isinstance(k, bool) and int(k) > 0
