"""Scores of a retrieval model that need no pairs."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from urbancross_mm.evaluation.metrics.embedding_metric import EmbeddingMetric
from urbancross_mm.functional import label_free
from urbancross_mm.registry import METRICS


@METRICS.register_module()
class LabelFreeMetric(EmbeddingMetric):
    """What a target domain without pairs can say about a model.

    The scores say how the embeddings lie, not whether they are correct: a harmful adaptation may
    have better ones than before (docs/how-to/adapt.md).

    - ``agreement``, up to 1: are similar images given similar texts?
    - ``entropy_i2t, entropy_t2i`` (lower is surer): how undecided is the model?
    - ``hubness_i2t, hubness_t2i``: does everything find the same few items? 0 if all are found
      about equally often. Neither its fall nor its rise proves anything.
    - ``a_distance_image, a_distance_text`` (0 to 2): how well can a classifier separate the
      domains? Only with ``target`` and samples of other domains.

    Which text belongs to which image is never read: the captions of an image are not looked at,
    and every distinct text is sorted by its id, away from the image that it came with. The
    embeddings are de-duplicated by ids, so padded batches and any world size give the same.

    Args:
        target (str | None): Domain to score, from samples of several domains; None scores all
            samples together. Defaults to None.
        scale (float): Of the entropy's softmax. Defaults to 100.0.
        k (int): Length of the lists behind the hubness. Defaults to 10.
        **kwargs: Of mmengine's ``BaseMetric``: ``collect_device``, ``prefix``, ``collect_dir``.

    Raises:
        ValueError: If a number is out of range.

    Examples:
        In a config: ``val_evaluator = [dict(type='RecallAtK'), dict(type='LabelFreeMetric')]``;
        then ``save_best='label_free/agreement', rule='greater'`` in the checkpoint hook.
    """

    default_prefix = 'label_free'

    def __init__(
        self,
        target: str | None = None,
        scale: float = 100.0,
        k: int = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if scale <= 0 or k < 1:
            raise ValueError(f'scale must be positive and k at least 1, got {scale} and {k}')
        self.target = target
        self.scale = scale
        self.k = k

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Score everything that was collected.

        Args:
            results (list[dict]): Records of :meth:`process`, duplicates among them.

        Returns:
            dict[str, float]: The scores.

        Raises:
            ValueError: If nothing was collected, no text was encoded, or no sample is of the
                target domain.
        """
        results = self.in_order(results)
        inside = [result for result in results if self.target in (None, result['domain'])]
        others = [result for result in results if self.target not in (None, result['domain'])]
        if not inside:
            domains = sorted({result['domain'] for result in results})
            raise ValueError(
                f'no sample is of the target domain {self.target!r}; the samples are '
                f'of {", ".join(map(repr, domains))}'
            )
        images, texts = _distinct(inside)
        metrics = self._score(images, texts)
        if others:
            other_images, other_texts = _distinct(others)
            for name, source, target in (
                ('image', other_images, images),
                ('text', other_texts, texts),
            ):
                metrics[f'a_distance_{name}'] = label_free.proxy_a_distance(source, target)
        shown = 'all domains' if self.target is None else f'target domain {self.target}'
        print_log(
            f'LabelFreeMetric: {len(images)} images, {len(texts)} distinct texts of '
            f'{shown}; no pair is read',
            logger='current',
        )
        return metrics

    def _score(self, images: Tensor, texts: Tensor) -> dict[str, float]:
        metrics = dict(agreement=label_free.structure_agreement(images, texts))
        for side, queries, gallery in (('i2t', images, texts), ('t2i', texts, images)):
            metrics[f'entropy_{side}'] = label_free.retrieval_entropy(queries, gallery, self.scale)
            metrics[f'hubness_{side}'] = label_free.hubness(queries, gallery, self.k)
        return metrics


def _distinct(results: list[dict]) -> tuple[Tensor, Tensor]:
    """Each image and each distinct text once, in the order of their ids."""
    images = {result['img_id']: result['image_embeds'] for result in results}
    texts = {
        text_id: embeds
        for result in results
        for text_id, embeds in zip(result['text_ids'], result['text_embeds'])
    }
    if not texts:
        raise ValueError(f'{len(images)} images, but no text was encoded')
    return (
        torch.stack(list(images.values())),
        torch.stack([texts[text_id] for text_id in sorted(texts)]),
    )
