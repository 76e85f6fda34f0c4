"""Batches of source and target items."""

from __future__ import annotations

import filecmp
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from urbancross_mm.datasets.samplers.member_streams import indices_by, shuffled, stream
from urbancross_mm.datasets.unpaired_dataset import AnchorDataset
from urbancross_mm.registry import DATA_SAMPLERS
from urbancross_mm.utils.ids import check_image_ids

# With fewer target images there is nothing to learn from.
FEWEST = 4


@DATA_SAMPLERS.register_module()
class CrossDomainSampler(Sampler[list[int]]):
    """Batches with a fixed number of source items and an even share of the target items.

    A batch sampler over a ``ConcatDataset`` whose members have a ``domain`` in their metainfo.
    One epoch is one pass over the target (several with ``min_steps``). In a pass every target item
    comes exactly once, at any world size. The items are spread evenly over the batches: if they do
    not fill all of them, each batch holds a few less than ``target`` (all of a small target), and
    no rank ends before the others. The sources are shuffled, and each item is used before any
    comes again. The order depends only on seed and epoch. Each rank takes its part, so two ranks
    with half the batch see together what one rank sees.

    An :class:`AnchorDataset` is a source too. It may hold images of the target, and a single item:
    its items are repeated until they fill a batch.

    Args:
        sampler (DefaultSampler): The loader's ``sampler``: gives dataset, seed and epoch.
        batch_size (int): Of the loader; it has to be the sum of all counts.
        source (Mapping[str, int]): Items per batch and rank by domain: ``dict(finland=80)``.
        target (Mapping[str, int]): The same for the only target domain: ``dict(spain=16)``.
        min_steps (int): Fewest batches of an epoch: a small target is repeated, each time in
            another order. Defaults to 1, one pass.

    Raises:
        ValueError: If a domain is unknown or named twice, a source has too few items for a batch,
            the target has fewer than four, a count is not positive, the counts do not add up to
            the batch, source and target share images, or two images have one id.

    Examples:
        >>> train_dataloader = dict(
        ...     batch_size=96, sampler=dict(type='DefaultSampler', shuffle=True),
        ...     batch_sampler=dict(type='CrossDomainSampler', source=dict(finland=80),
        ...                        target=dict(spain=16)),
        ...     dataset=dict(type='ConcatDataset', datasets=[finland, spain]))
    """

    def __init__(
        self,
        sampler: Any,
        batch_size: int,
        source: Mapping[str, int],
        target: Mapping[str, int],
        min_steps: int = 1,
    ) -> None:
        if min_steps < 1:
            raise ValueError(f'min_steps must be at least 1, got {min_steps}')
        self.sampler = sampler
        self.min_steps = min_steps
        self.rank, self.world_size = get_dist_info()
        _check_counts(source, target, batch_size)
        indices = indices_by('domain', sampler.dataset, type(self).__name__)
        repeated = {
            member.metainfo['domain']
            for member in sampler.dataset.datasets
            if isinstance(member, AnchorDataset)
        }
        for domain, count in source.items():
            fewer = _fits(domain, count * self.world_size, indices) // self.world_size
            if fewer < count and domain not in repeated:
                raise ValueError(
                    f'the domain {domain!r} has {len(indices[domain])} items, fewer than the '
                    f'{count * self.world_size} of one batch: --cfg-options '
                    f'train_dataloader.batch_sampler.source.{domain}={fewer} '
                    f'train_dataloader.batch_size={batch_size - count + fewer}'
                )
        ((target_domain, self.target_count),) = target.items()
        if _fits(target_domain, FEWEST, indices) < FEWEST:
            raise ValueError(
                f'the target {target_domain!r} has {len(indices[target_domain])} images: an '
                f'adaptation needs {FEWEST} at the very least, and a few hundred to be of use'
            )
        _check_disjoint(sampler.dataset, target_domain)
        self.target_indices = indices[target_domain]
        self.sources = [(indices[domain], count) for domain, count in source.items()]

    def __len__(self) -> int:
        """Batches per epoch, the same on every rank."""
        return self._steps_of_a_pass() * self._passes()

    def __iter__(self) -> Iterator[list[int]]:
        """Indices of each batch of this rank: sources in the order given, then the target."""
        seed = [self.sampler.seed or 0, self.sampler.epoch]
        # Target items of each step, nearly equally many; the ranks share them.
        steps = [
            step
            for turn in range(self._passes())
            for step in np.array_split(
                shuffled(self.target_indices, [*seed, 0], turn), self._steps_of_a_pass()
            )
        ]
        streams = [
            stream(indices, [*seed, number]) for number, (indices, _) in enumerate(self.sources, 1)
        ]
        for targets in steps:
            batch: list[int] = []
            for (_, count), items in zip(self.sources, streams):
                # Drawn for all ranks, so that each knows what the others take.
                drawn = [next(items) for _ in range(count * self.world_size)]
                batch += drawn[self.rank * count : (self.rank + 1) * count]
            # The first ranks get what is left over. So rank 0, whose BatchNorm statistics are
            # saved, never lacks a target item. A later rank may, with a target count of 1.
            batch += np.array_split(targets, self.world_size)[self.rank].tolist()
            yield batch

    def _steps_of_a_pass(self) -> int:
        return math.ceil(len(self.target_indices) / (self.target_count * self.world_size))

    def _passes(self) -> int:
        return math.ceil(self.min_steps / self._steps_of_a_pass())


def _check_counts(source: Mapping[str, int], target: Mapping[str, int], batch_size: int) -> None:
    if not source or len(target) != 1 or set(source) & set(target):
        raise ValueError(
            f'name one target domain and at least one other source domain, got '
            f'source={dict(source)} and target={dict(target)}'
        )
    counts = [*source.values(), *target.values()]
    if min(counts) < 1 or sum(counts) != batch_size:
        raise ValueError(
            f'the counts of source={dict(source)} and target={dict(target)} must be '
            f'positive and add up to batch_size={batch_size}'
        )


def _fits(domain: str, needed: int, indices: Mapping[str, np.ndarray]) -> int:
    """How many of the items that a batch needs from a domain there are."""
    if domain not in indices:
        raise ValueError(
            f'no member of the ConcatDataset has the domain {domain!r}, there are {sorted(indices)}'
        )
    return min(needed, len(indices[domain]))


def _check_disjoint(dataset: Any, target: str) -> None:
    """An image on both sides would give its caption to the target.

    Compares the paths, and the content of files with equal name and size.
    """
    sides: dict[bool, set[str]] = {True: set(), False: set()}
    images: set[tuple[str, str]] = set()
    for member in dataset.datasets:
        infos = [BaseDataset.get_data_info(member, index) for index in range(len(member))]
        images.update((info.get('img_id', info['img_path']), info['img_path']) for info in infos)
        if isinstance(member, AnchorDataset):
            continue  # what its owner labeled in the target
        sides[member.metainfo.get('domain', '') == target].update(
            info['img_path'] for info in infos
        )
    # Positives, and the cache of a frozen selector, go by id.
    check_image_ids(sorted(images, key=str))
    target_files = {os.path.realpath(path) for path in sides[True]}
    candidates: dict[tuple[str, int], list[str]] = {}
    for path in sides[True]:
        candidates.setdefault(_name_and_size(path), []).append(path)
    shared = sorted(
        path
        for path in sides[False]
        if os.path.realpath(path) in target_files
        or any(_same_content(path, other) for other in candidates.get(_name_and_size(path), ()))
    )
    if shared:
        raise ValueError(
            f'source and target {target!r} share {len(shared)} images, such as '
            f'{shared[0]}: adaptation would train on pairs of the target'
        )


def _same_content(first: str, second: str) -> bool:
    return os.path.isfile(first) and filecmp.cmp(first, second, shallow=False)


def _name_and_size(path: str) -> tuple[str, int]:
    # A missing image is reported when it is loaded.
    return os.path.basename(path), os.path.getsize(path) if os.path.isfile(path) else -1
