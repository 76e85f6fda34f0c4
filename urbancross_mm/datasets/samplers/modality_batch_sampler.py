"""Batches of one modality."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from urbancross_mm.datasets.samplers.member_streams import indices_by, stream
from urbancross_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class ModalityBatchSampler(Sampler[list[int]]):
    """Batches of one modality each, of members that need not have equally many items.

    A batch sampler over a ``ConcatDataset`` whose members have a ``modality`` in their metainfo, as
    :class:`UnlabeledDataset` does; members of one modality are pooled.

    If the loader's sampler shuffles, every modality has its share of the batches, in random order.
    An epoch is as long as it takes for every item to come once: one pass over the modality with the
    most batches. The others come again, each time in another order. The order depends only on seed
    and epoch, all ranks draw the same modality at a time, and two ranks with half the batch see
    together what one rank sees.

    If not, as in validation, each item comes once, in order, and ranks may differ by a batch.

    Args:
        sampler (DefaultSampler): The loader's ``sampler``: gives dataset, seed, epoch and shuffle.
        batch_size (int): Of the loader: items per batch and rank.
        weights (Mapping[str, float] | None): How often a modality comes, in proportion; one that is
            not named has 1. Defaults to None: all equally often.

    Raises:
        ValueError: If a member has no modality, one has too few items for a batch, or a weight is
            not positive or of no member.

    Examples:
        >>> train_dataloader = dict(
        ...     batch_size=64, sampler=dict(type='DefaultSampler', shuffle=True),
        ...     batch_sampler=dict(type='ModalityBatchSampler'),
        ...     dataset=dict(type='ConcatDataset', datasets=[images, texts, recordings]))
    """

    def __init__(
        self, sampler: Any, batch_size: int, weights: Mapping[str, float] | None = None
    ) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.rank, self.world_size = get_dist_info()
        self.shuffle = getattr(sampler, 'shuffle', True)
        self.indices = indices_by('modality', sampler.dataset, type(self).__name__)
        if '' in self.indices:
            raise ValueError(
                'ModalityBatchSampler: a member of the dataset has no modality in its metainfo; '
                'items of several modalities need no batch_sampler'
            )
        self.counts = self._batches(weights or {}) if self.shuffle else {}

    def __len__(self) -> int:
        """Batches per epoch of this rank."""
        if self.shuffle:
            return sum(self.counts.values())
        return sum(math.ceil(len(own) / self.batch_size) for own in self._own())

    def __iter__(self) -> Iterator[list[int]]:
        """Indices of each batch of this rank."""
        if not self.shuffle:
            for own in self._own():
                for start in range(0, len(own), self.batch_size):
                    yield own[start : start + self.batch_size].tolist()
            return
        seed = [self.sampler.seed or 0, self.sampler.epoch]
        streams = {
            name: stream(indices, [*seed, number])
            for number, (name, indices) in enumerate(self.indices.items(), 1)
        }
        order = np.repeat(list(self.counts), list(self.counts.values()))
        for name in np.random.default_rng([*seed, 0]).permutation(order):
            # Drawn for all ranks, so that each knows what the others take.
            drawn = [next(streams[name]) for _ in range(self.batch_size * self.world_size)]
            yield drawn[self.rank * self.batch_size : (self.rank + 1) * self.batch_size]

    def _own(self) -> list[np.ndarray]:
        """What this rank evaluates of each modality."""
        return [indices[self.rank :: self.world_size] for indices in self.indices.values()]

    def _batches(self, weights: Mapping[str, float]) -> dict[str, int]:
        """Of each modality in an epoch."""
        if set(weights) - set(self.indices) or not all(0 < w < math.inf for w in weights.values()):
            raise ValueError(
                f'weights must be positive and of {sorted(self.indices)}, got {dict(weights)}'
            )
        size = self.batch_size * self.world_size
        for name, indices in self.indices.items():
            if len(indices) < size:
                raise ValueError(
                    f'there are {len(indices)} items of {name}, fewer than the {size} of one '
                    f'batch: --cfg-options train_dataloader.batch_size='
                    f'{max(1, len(indices) // self.world_size)}'
                )
        shares = {name: weights.get(name, 1.0) for name in self.indices}
        scale = max(
            math.ceil(len(self.indices[name]) / size) / share for name, share in shares.items()
        )
        # A little less, because scale * share may be rounded up.
        return {name: math.ceil(scale * share - 1e-6) for name, share in shares.items()}
