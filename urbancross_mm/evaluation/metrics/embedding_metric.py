"""Collecting embeddings from every rank: what the metrics of this package share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from urbancross_mm.utils.ids import check_image_ids

# What makes an embedding that not every model gives.
_HINTS = dict(image_view_embeds=' (model.data_preprocessor.image_view=dict(seed=0))')


class EmbeddingMetric(BaseMetric):
    """Base of metrics on embeddings; a subclass writes ``compute_metrics`` and names what it reads.

    A record in ``results`` holds ``img_id, img_path, domain, image_embeds`` (D,), of each modality
    M its ``M_ids`` and ``M_embeds`` (C, D), and the fields named in ``extra_fields``. An image may
    occur several times (padding, one item per caption), so a subclass de-duplicates by ids.
    """

    # Of each image; ``image_embeds`` comes first.
    image_fields: tuple[str, ...] = ('image_embeds',)
    # Besides images.
    modalities: tuple[str, ...] = ('text',)
    extra_fields: tuple[str, ...] = ()
    # Whether it asks a model that scores pairs. Else such a model is refused: the products of its
    # embeddings mean nothing.
    takes_pair_scores = False
    score_pairs: Callable[[Tensor, Tensor], Tensor] | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep what the metric needs of each sample; one that is not for retrieval is left out.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): ``RetrievalDataSample.to_dict()`` of each image, after
                ``predict``.

        Raises:
            KeyError: If the model left no embeddings in a sample.
            ValueError: If text embeddings and text ids of a sample differ in number, or the model
                scores pairs and the metric compares embeddings.
        """
        for sample in data_samples:
            if sample.get('for_retrieval') is False:
                continue
            self.take_scorer(sample)
            for name in (*self.image_fields, *(f'{other}_embeds' for other in self.modalities)):
                if name not in sample:
                    raise KeyError(
                        f'data sample {sample.get("img_id")!r} has no {name!r}: does '
                        f"the model's predict set it{_HINTS.get(name, '')}?"
                    )
            record: dict[str, Any] = {name: list(sample[name]) for name in self.extra_fields}
            for modality in self.modalities:
                ids, embeds = sample[f'{modality}_ids'], sample[f'{modality}_embeds']
                if len(ids) != len(embeds):
                    raise ValueError(
                        f'data sample {sample["img_id"]!r} has {len(ids)} {modality} ids but '
                        f'{len(embeds)} {modality} embeddings'
                    )
                record[f'{modality}_ids'] = list(ids)
                record[f'{modality}_embeds'] = own_copy(embeds)
            self.results.append(
                dict(
                    record,
                    img_id=sample['img_id'],
                    img_path=sample.get('img_path'),
                    domain=sample.get('domain') or '',
                    **{name: own_copy(sample[name]) for name in self.image_fields},
                )
            )

    def take_scorer(self, sample: dict) -> None:
        """Keep how the model of a sample scores pairs, where it does.

        Args:
            sample (dict): A data sample.

        Raises:
            ValueError: If it does, and the metric compares embeddings.
        """
        self.score_pairs = sample.get('score_pairs')
        if self.score_pairs is not None and not self.takes_pair_scores:
            raise ValueError(
                f'{type(self).__name__} compares embeddings, and this model scores pairs, as '
                'AMFMN does: leave the metric out, RecallAtK suits it'
            )

    def evaluate(self, size: int) -> dict:
        """Collect from all ranks and compute; see :meth:`mmengine.evaluator.BaseMetric.evaluate`.

        Args:
            size (int): Not used. Cutting what padding added to the dataset's length would drop
                samples where ranks hold different numbers; ids tell duplicates better.

        Returns:
            dict: Names and values, on every rank.
        """
        return super().evaluate(sys.maxsize)

    def in_order(self, results: list[dict]) -> list[dict]:
        """Sort records, so that the result is the same however they were spread over ranks.

        Args:
            results (list[dict]): Records of :meth:`process`.

        Returns:
            list[dict]: By ``img_id``; numbers come before names.

        Raises:
            ValueError: If there is none, an id belongs to two images, or an embedding is not
                finite.
        """
        if not results:
            raise ValueError(f'{type(self).__name__} collected no sample: is the dataset empty?')
        results = sorted(
            results, key=lambda result: (isinstance(result['img_id'], str), result['img_id'])
        )
        check_image_ids((result['img_id'], result['img_path']) for result in results)
        _check_unlocated(results)
        _check_finite(results, self.image_fields, self.modalities)
        return results


def _check_unlocated(results: list[dict]) -> None:
    """Where a path is not known, tell images of one id apart by their embeddings."""
    first: dict[Any, dict] = {}
    for result in results:
        known = first.setdefault(result['img_id'], result)
        first_embeds, embeds = known['image_embeds'], result['image_embeds']
        if known is result or (known['img_path'] and result['img_path']):
            continue
        # Another batch may round an embedding differently, to 1e-3 in half precision.
        if (first_embeds - embeds).norm() > 0.02 * first_embeds.norm():
            raise ValueError(
                f'two images have the img_id {result["img_id"]!r}: ids must be unique '
                'over all annotation files that are loaded together'
            )


def _check_finite(
    results: list[dict], image_fields: Sequence[str], modalities: Sequence[str]
) -> None:
    named = {
        name.removesuffix('_embeds'): {result['img_id']: result[name] for result in results}
        for name in image_fields
    }
    for modality in modalities:
        named[modality] = {
            f'{modality} id {item_id} of {result["img_id"]!r}': embeds
            for result in results
            for item_id, embeds in zip(result[f'{modality}_ids'], result[f'{modality}_embeds'])
        }
    for name, embeds in named.items():
        finite = torch.stack(list(embeds.values())).isfinite().all(dim=1) if embeds else ()
        broken = [row for row, is_finite in enumerate(finite) if not is_finite]
        if broken:
            shown = ', '.join(str(list(embeds)[row]) for row in broken[:5])
            raise ValueError(
                f'{len(broken)} of {len(embeds)} {name} embeddings hold NaN or '
                f'infinity, first rows {broken[:5]}: {shown}'
            )


def own_copy(embeds: Tensor) -> Tensor:
    """A float32 copy on the CPU.

    Args:
        embeds (Tensor): Maybe a row of a batch.

    Returns:
        Tensor: Without gradient.
    """
    # A copy: pickling a row of a batch would write the whole batch, once for every row.
    return embeds.detach().to(device='cpu', dtype=torch.float32, copy=True)
