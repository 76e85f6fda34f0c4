"""Batches of one modality, the same one on every rank."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from urbancross_mm.datasets import ModalityBatchSampler
from urbancross_mm.datasets.samplers import modality_batch_sampler

SIZES = dict(image=50, text=23, audio=9)


class Items:
    """A dataset of so many items."""

    def __init__(self, size: int, **metainfo: str) -> None:
        self.metainfo = metainfo
        self.size = size

    def __len__(self) -> int:
        return self.size


def build(
    batch_size: int,
    members: list[Items] | None = None,
    seed: int | None = 0,
    epoch: int = 0,
    world: tuple[int, int] = (0, 1),
    shuffle: bool = True,
    **options: Any,
) -> ModalityBatchSampler:
    members = members or [Items(size, modality=name) for name, size in SIZES.items()]
    stub = SimpleNamespace(
        dataset=SimpleNamespace(datasets=members), seed=seed, epoch=epoch, shuffle=shuffle
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modality_batch_sampler, 'get_dist_info', lambda: world)
        return ModalityBatchSampler(stub, batch_size, **options)


def modality(batch: list[int]) -> str:
    """The modality of a batch, which must be the only one."""
    ends = dict(image=50, text=73, audio=82)
    (name,) = {next(name for name, end in ends.items() if index < end) for index in batch}
    return name


def test_an_epoch_passes_over_the_largest_and_repeats_the_others() -> None:
    sampler = build(4)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 3 * 13  # 50 images
    assert Counter(map(modality, batches)) == dict(image=13, text=13, audio=13)
    assert all(len(batch) == 4 for batch in batches)
    for name, size in SIZES.items():
        rows = [index for batch in batches if modality(batch) == name for index in batch]
        passes = [tuple(rows[start : start + size]) for start in range(0, len(rows), size)]
        whole = [one for one in passes if len(one) == size]
        assert all(len(set(one)) == size for one in whole)
        assert len(set(whole)) == len(whole) == 52 // size  # each time in another order


def test_modalities_come_in_random_order() -> None:
    orders = {
        tuple(map(modality, build(4, seed=seed, epoch=epoch)))
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(orders) == 4
    for order in orders:
        assert order != tuple(sorted(order)) and len(set(zip(order, order[1:]))) == 9


def test_seed_and_epoch_decide() -> None:
    first = list(build(4))
    assert list(build(4)) == first == list(build(4, seed=None))
    assert list(build(4, epoch=1)) != first != list(build(4, seed=1))


@pytest.mark.parametrize('world', [2, 3])
def test_ranks_take_the_same_modality_and_see_what_one_sees(world: int) -> None:
    one = list(build(6))
    ranks = [list(build(6 // world, world=(rank, world))) for rank in range(world)]
    assert [sum(parts, []) for parts in zip(*ranks, strict=True)] == one
    for parts in zip(*ranks):
        assert len(set(map(modality, parts))) == 1


def test_weights_are_how_often_a_modality_comes() -> None:
    counts = Counter(map(modality, build(5, weights=dict(image=2.0, audio=0.5))))
    assert counts == dict(image=10, text=5, audio=3)  # 2.5, and no item is left out
    assert Counter(map(modality, build(5, weights=dict(text=3)))) == dict(
        image=10, text=30, audio=10
    )
    for share in (0.1, 0.3, 0.7):  # no batch too many where a float is rounded
        assert build(5, weights=dict.fromkeys(SIZES, share)).counts == dict.fromkeys(SIZES, 10)


def test_members_of_one_modality_are_pooled() -> None:
    members = [Items(6, modality='text'), Items(4, modality='image'), Items(6, modality='text')]
    batches = list(build(4, members))
    texts = [batch for batch in batches if not set(batch) & {6, 7, 8, 9}]
    assert len(texts) == 3 and len(batches) == 6
    assert sorted(sum(texts, [])) == [*range(6), *range(10, 16)]


@pytest.mark.parametrize('world', [1, 2, 3])
def test_without_shuffling_every_item_comes_once(world: int) -> None:
    samplers = [build(4, world=(rank, world), shuffle=False) for rank in range(world)]
    epochs = [list(sampler) for sampler in samplers]
    assert [len(sampler) for sampler in samplers] == [len(batches) for batches in epochs]
    batches = sum(epochs, [])
    assert sorted(sum(batches, [])) == list(range(82))
    assert all(modality(batch) and len(batch) <= 4 for batch in batches)
    if world == 1:
        assert sum(batches, []) == list(range(82))


def test_what_makes_no_batches() -> None:
    with pytest.raises(ValueError, match=r'9 items of audio.* 12 .*batch_size=4'):
        build(6, world=(0, 2))
    assert build(100, shuffle=False)
    with pytest.raises(ValueError, match='no modality'):
        build(4, [Items(6, modality='text'), Items(6, domain='spain')])
    with pytest.raises(ValueError, match=r'ModalityBatchSampler needs a ConcatDataset .*list'):
        ModalityBatchSampler(SimpleNamespace(dataset=[1, 2]), 4)
    for weights in (dict(video=1.0), dict(text=0.0), dict(text=-1), dict(text=float('inf'))):
        with pytest.raises(ValueError, match=r"weights.*'audio'.*got"):
            build(4, weights=weights)
