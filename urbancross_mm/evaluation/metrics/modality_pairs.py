"""Search between other pairs of modalities than image and text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from mmengine.logging import print_log
from torch import Tensor

from urbancross_mm.evaluation.metrics.galleries import Galleries, assemble, pair_captions
from urbancross_mm.evaluation.metrics.recall_values import (
    Gallery,
    RecallValues,
    mean_recall,
    merge_sides,
)
from urbancross_mm.functional import similarity

VIEW_FIELD = 'image_view_embeds'
Relevance = Callable[[Galleries], tuple[Tensor, Tensor]]


class ModalityPairs:
    """The ``pairs`` of :class:`RecallAtK`.

    Args:
        pairs (Sequence[str]): Such as ``'image-audio'``.

    Raises:
        ValueError: If one is no such pair.
    """

    def __init__(self, pairs: Sequence[str]) -> None:
        self.pairs = [_modalities(pair) for pair in pairs]
        seconds = dict.fromkeys(second for _, second in self.pairs)
        self.others = tuple(name for name in seconds if name != 'image')
        self.has_views = 'image' in seconds

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def metrics(
        self,
        results: list[dict],
        texts: Galleries,
        relevance: Relevance,
        values: RecallValues,
        known: Mapping[str, float],
        normalize: bool = False,
    ) -> dict[str, float]:
        """Search in all pairs.

        Args:
            results (list[dict]): Records of the metric, in order.
            texts (Galleries): Of images and texts.
            relevance (Callable): What is relevant for an image.
            values (RecallValues): What is reported.
            known (Mapping): Metrics of image and text alone.
            normalize (bool): Two images are compared by the cosine of vectors of any length.
                Defaults to False: they have unit length, or a length that counts.

        Returns:
            dict[str, float]: Those of each pair; ``mR_pairs`` and ``mR_recalls`` of the pairs with
            an image.
        """
        metrics: dict[str, float] = {}
        groups = [known]  # those with an image: MCRN's means have no others
        for first, second in self.pairs:
            if second == 'image':
                found = _search_views(results, texts, values, normalize)
            else:
                others = assemble(results, second)
                if first == 'image':
                    items = others.text_embeds[others.caption_text]
                    gallery = (others.image_embeds, items, *relevance(others))
                else:
                    rows = pair_captions(results, texts, others, second)
                    gallery = (texts.text_embeds, others.text_embeds, *rows)
                _log_pair(first, second, gallery)
                names = f'{first[0]}2{second[0]}', f'{second[0]}2{first[0]}'
                found = values.of_gallery(gallery, *names)
                metrics[f'num_{second}s'] = len(others.text_embeds)
            if first == 'image':
                groups.append(found)
            metrics.update({name: value for name, value in found.items() if name != 'mR'})
            metrics[f'mR_{first}-{second}'] = found['mR']
        metrics['mR_pairs'] = sum(group['mR'] for group in groups) / len(groups)
        metrics['mR_recalls'] = mean_recall(*groups)
        return metrics


def _log_pair(first: str, second: str, gallery: Gallery) -> None:
    """What is searched, and how much of it has no partner and so is no query."""
    sides = zip((first, second), gallery[:2], gallery[2:])
    counts = (
        f'{len(embeds)} items of {name} ({len(embeds) - len(rows.unique())} without a partner)'
        for name, embeds, rows in sides
    )
    print_log(f'RecallAtK, {first}-{second}: {", ".join(counts)}', logger='current')


def _search_views(
    results: list[dict], texts: Galleries, values: RecallValues, normalize: bool
) -> dict[str, float]:
    """An image by its view and a view by its image, averaged: one search, asked either way."""
    views: dict[str, Tensor] = {}
    for result in results:
        views.setdefault(result['img_id'], result[VIEW_FIELD])
    rows = torch.arange(len(texts.image_ids))
    images, others = texts.image_embeds, torch.stack([views[img] for img in texts.image_ids])
    if normalize:
        images, others = similarity.normalize(images), similarity.normalize(others)
    both = values.of_gallery((images, others, rows, rows), 'i2v', 'v2i')
    return merge_sides(both, ('i2v', 'v2i'), 'i2i')


def _modalities(pair: str) -> tuple[str, str]:
    first, _, second = pair.partition('-')
    if first not in ('image', 'text') or second in ('', 'text') or pair == 'text-image':
        raise ValueError(
            f"a pair is 'image-audio', 'text-audio', 'image-image' or the like, got {pair!r}"
        )
    return first, second
