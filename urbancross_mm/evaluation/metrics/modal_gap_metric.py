"""Whether modalities mix in the shared space, and whether it collapses."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from urbancross_mm.evaluation.metrics.embedding_metric import EmbeddingMetric, own_copy
from urbancross_mm.functional.label_free import proxy_a_distance
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.registry import METRICS


@METRICS.register_module()
class ModalGapMetric(EmbeddingMetric):
    r"""What a look at embeddings without pairs says about a pre-training of several modalities.

    - ``discriminator_acc``: how often the model's discriminator tells the modality, the mean over
      K modalities; chance is 1 / K. Only of a model that has one, such as ``MCRNPretrainer``.
    - ``a_distance_<first>_<second>`` (0 to 2): how well a linear classifier fitted here separates
      two modalities; 0 where they mix. A discriminator may be wrong because it is weak.
    - ``spread_<modality>``: the standard deviation of the coordinates of unit vectors,
      :math:`\sqrt{D}` times its mean over D coordinates. Near 1 where they point everywhere, 0
      where all are equal: collapsed, so that nothing can be told and the others mean nothing.

    A sample needs one modality or more. Items are de-duplicated by their ids, so padded batches
    and any world size give the same.

    Args:
        modalities (Sequence[str]): To look at, as far as the samples have them.
            Defaults to ('image', 'text', 'audio').
        **kwargs: Of mmengine's ``BaseMetric``: ``collect_device``, ``prefix``, ``collect_dir``.

    Examples:
        >>> val_evaluator = dict(type='ModalGapMetric')

    Reference:
        `Exploring Simple Siamese Representation Learning <https://arxiv.org/abs/2011.10566>`_,
        of the spread.
    """

    default_prefix = 'modal_gap'

    def __init__(
        self, modalities: Sequence[str] = ('image', 'text', 'audio'), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.modalities = tuple(modalities)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the embeddings of each sample.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): ``RetrievalDataSample.to_dict()``, after ``predict``.

        Raises:
            ValueError: If the model scores pairs.
        """
        for sample in data_samples:
            self.take_scorer(sample)
            for name in self.modalities:
                if f'{name}_embeds' not in sample:
                    continue
                one = name == 'image'
                embeds = sample[f'{name}_embeds']
                told = sample.get(f'{name}_told')
                self.results.append(
                    dict(
                        modality=name,
                        ids=[sample['img_id']] if one else list(sample[f'{name}_ids']),
                        embeds=own_copy(embeds[None] if one else embeds),
                        told=None if told is None else own_copy(told.reshape(-1)),
                    )
                )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Score everything that was collected.

        Args:
            results (list[dict]): Records of :meth:`process`, duplicates among them.

        Returns:
            dict[str, float]: The scores.

        Raises:
            ValueError: If a modality has fewer than two items, or an embedding is not finite.
        """
        found: dict[str, Tensor] = {}
        told = []
        for name in self.modalities:
            rows = [result for result in results if result['modality'] == name and result['ids']]
            if rows:
                once = _first_uses(i for row in rows for i in row['ids'])
                found[name] = _checked(name, torch.cat([row['embeds'] for row in rows])[once])
                if all(row['told'] is not None for row in rows):
                    told.append(float(torch.cat([row['told'] for row in rows])[once].mean()))
        if not found:
            raise ValueError(f'no sample has an embedding of {self.modalities}')
        metrics = {f'spread_{name}': spread(rows) for name, rows in found.items()}
        for first, second in combinations(found, 2):
            distance = proxy_a_distance(found[first], found[second])
            metrics[f'a_distance_{first}_{second}'] = distance
        if len(told) == len(found):
            metrics['discriminator_acc'] = sum(told) / len(told)
        return metrics


def spread(embeds: Tensor) -> float:
    """Standard deviation of the coordinates of unit vectors, in that of random directions.

    Args:
        embeds (Tensor): Embeddings, of any length.

    Shape:
        - embeds: ``(N, D)``.

    Returns:
        float: 0 where all are equal, near 1 where they point everywhere.
    """
    units = normalize(embeds.double())
    return float(units.std(dim=0, correction=0).mean() * units.shape[1] ** 0.5)


def _first_uses(ids: Any) -> list[int]:
    """Positions at which each id comes first, in the order of the ids."""
    first: dict[Any, int] = {}
    for position, item_id in enumerate(ids):
        first.setdefault(item_id, position)
    return [first[item_id] for item_id in sorted(first)]


def _checked(name: str, embeds: Tensor) -> Tensor:
    if len(embeds) < 2:
        raise ValueError(f'there is one item of {name}, and its spread needs two at least')
    if not embeds.isfinite().all():
        raise ValueError(f'embeddings of {name} hold NaN or infinity')
    return embeds
