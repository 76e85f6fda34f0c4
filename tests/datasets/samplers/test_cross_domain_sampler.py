"""Every target item once an epoch, whoever trains; sources used up before they start over."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.dataset import ConcatDataset, DefaultSampler
from PIL import Image

from tests.datasets.tiny import item, write
from urbancross_mm.datasets import (
    AnchorDataset,
    CrossDomainSampler,
    ImageTextDataset,
    UnpairedDataset,
)
from urbancross_mm.datasets.samplers import cross_domain_sampler


class Items:
    """A dataset of so many images."""

    def __init__(self, domain: str, size: int, folder: str | None = None) -> None:
        self.metainfo = dict(domain=domain)
        self.folder = folder or domain
        self.size = size

    def __len__(self) -> int:
        return self.size


@pytest.fixture(autouse=True)
def _paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        cross_domain_sampler.BaseDataset,
        'get_data_info',
        lambda member, position: dict(img_path=f'{member.folder}/{position}'),
    )


def build(
    *members: Items,
    source: dict,
    target: dict,
    seed: int = 0,
    epoch: int = 0,
    batch_size: int | None = None,
    world: tuple[int, int] = (0, 1),
    **options: int,
) -> CrossDomainSampler:
    stub = SimpleNamespace(dataset=SimpleNamespace(datasets=list(members)), seed=seed, epoch=epoch)
    total = sum(source.values()) + sum(target.values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_domain_sampler, 'get_dist_info', lambda: world)
        return CrossDomainSampler(stub, batch_size or total, source, target, **options)


def ranks(size: int, *members: Items, **kwargs: object) -> list[CrossDomainSampler]:
    return [build(*members, world=(rank, size), **kwargs) for rank in range(size)]


def in_domain(batches: list[list[int]], first: int, last: int) -> list[int]:
    return [position for batch in batches for position in batch if first <= position < last]


@pytest.mark.parametrize('world', [1, 2, 3])
@pytest.mark.parametrize('target', [12, 13, 17, 23, 24, 25, 100])
def test_every_target_item_once_at_any_world_size(target: int, world: int) -> None:
    samplers = ranks(
        world,
        Items('finland', 50),
        Items('spain', target),
        source=dict(finland=6),
        target=dict(spain=4),
    )
    epochs = [list(sampler) for sampler in samplers]
    seen = in_domain([batch for batches in epochs for batch in batches], 50, 50 + target)
    assert sorted(seen) == list(range(50, 50 + target))
    assert (
        {len(batches) for batches in epochs}
        == {len(samplers[0])}
        == {len(sampler) for sampler in samplers}
        == {-(-target // (4 * world))}
    )
    for batches in epochs:
        sizes = [len(in_domain([batch], 50, 50 + target)) for batch in batches]
        assert max(sizes) <= 4 and max(sizes) - min(sizes) <= 1
        assert {len(in_domain([batch], 0, 50)) for batch in batches} == {6}


@pytest.mark.parametrize('world', [1, 2])
@pytest.mark.parametrize(('min_steps', 'passes'), [(1, 1), (4, 2), (24, 8), (25, 9)])
def test_a_small_target_is_passed_over_until_there_are_enough_steps(
    min_steps: int, passes: int, world: int
) -> None:
    samplers = ranks(
        world,
        Items('finland', 50),
        Items('spain', 12 * world - 1),
        source=dict(finland=6),
        target=dict(spain=4),
        min_steps=min_steps,
    )
    epochs = [list(sampler) for sampler in samplers]
    assert {len(batches) for batches in epochs} == {len(samplers[0])} == {3 * passes}
    orders = []
    for turn in range(passes):
        seen = [in_domain(batches[3 * turn : 3 * turn + 3], 50, 99) for batches in epochs]
        assert sorted(sum(seen, [])) == list(range(50, 49 + 12 * world))
        orders.append(tuple(sum(seen, [])))
    assert len(set(orders)) == passes
    once = ranks(
        world,
        Items('finland', 50),
        Items('spain', 12 * world - 1),
        source=dict(finland=6),
        target=dict(spain=4),
    )
    # The first pass is that of an epoch without repetition.
    assert [batches[:3] for batches in epochs] == [list(sampler) for sampler in once]


def test_no_steps_are_refused() -> None:
    with pytest.raises(ValueError, match='min_steps .*0'):
        build(
            Items('finland', 50),
            Items('spain', 12),
            source=dict(finland=6),
            target=dict(spain=4),
            min_steps=0,
        )


def test_a_batch_has_its_sources_in_order_and_then_the_target() -> None:
    sampler = build(
        Items('spain', 8),
        Items('finland', 20),
        Items('germany', 20),
        source=dict(germany=3, finland=5),
        target=dict(spain=4),
    )
    for batch in sampler:
        assert [position >= 28 for position in batch[:3]] == [True] * 3
        assert [8 <= position < 28 for position in batch[3:8]] == [True] * 5
        assert [position < 8 for position in batch[8:]] == [True] * 4


@pytest.mark.parametrize('world', [2, 3])
def test_ranks_with_a_share_of_the_batch_see_together_what_one_sees(world: int) -> None:
    members = Items('finland', 40), Items('germany', 30), Items('spain', 31)
    one = list(build(*members, source=dict(finland=12, germany=6), target=dict(spain=6)))
    shares = ranks(
        world,
        *members,
        source=dict(finland=12 // world, germany=6 // world),
        target=dict(spain=6 // world),
    )
    together = [sum(parts, []) for parts in zip(*map(list, shares), strict=True)]
    assert [sorted(batch) for batch in together] == [sorted(batch) for batch in one]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        return list(
            build(
                Items('finland', 40),
                Items('spain', 20),
                source=dict(finland=6),
                target=dict(spain=4),
                seed=seed,
                epoch=epoch,
            )
        )

    assert order(1, 2) == order(1, 2)
    orders = [order(seed, epoch) for seed in range(3) for epoch in range(3)]
    for first, last in ((0, 40), (40, 60)):
        parts = [str(in_domain(batches, first, last)) for batches in orders]
        assert len(set(parts)) == 9
    assert order(0, 0) == list(
        build(
            Items('finland', 40),
            Items('spain', 20),
            source=dict(finland=6),
            target=dict(spain=4),
            seed=None,
        )
    )


def test_iterating_twice_gives_the_same() -> None:
    """Nothing is kept from one pass to the next, as the published endless iterator does."""
    sampler = build(
        Items('finland', 9), Items('spain', 20), source=dict(finland=6), target=dict(spain=4)
    )
    assert list(sampler) == list(sampler)
    sampler.sampler.epoch = 1
    assert list(sampler) != list(
        build(Items('finland', 9), Items('spain', 20), source=dict(finland=6), target=dict(spain=4))
    )


@pytest.mark.parametrize('world', [1, 2])
def test_a_source_is_used_up_before_it_starts_over_in_another_order(world: int) -> None:
    samplers = ranks(
        world,
        Items('finland', 10),
        Items('spain', 40),
        source=dict(finland=6 // world),
        target=dict(spain=4 // world),
    )
    stream = [
        position
        for parts in zip(*map(list, samplers))
        for part in parts
        for position in part
        if position < 10
    ]
    assert len(stream) == 60
    turns = [stream[i : i + 10] for i in range(0, 60, 10)]
    assert all(sorted(turn) == list(range(10)) for turn in turns)
    assert len({str(turn) for turn in turns}) == 6


def test_a_large_source_is_not_repeated_within_an_epoch() -> None:
    batches = list(
        build(
            Items('finland', 100), Items('spain', 20), source=dict(finland=8), target=dict(spain=4)
        )
    )
    assert max(Counter(in_domain(batches, 0, 100)).values()) == 1


def test_sources_of_equal_size_go_different_ways() -> None:
    batches = list(
        build(
            Items('finland', 20),
            Items('germany', 20),
            Items('spain', 8),
            source=dict(finland=4, germany=4),
            target=dict(spain=4),
        )
    )
    germany = [position - 20 for position in in_domain(batches, 20, 40)]
    assert in_domain(batches, 0, 20) != germany


def test_members_of_one_domain_are_pooled() -> None:
    sampler = build(
        Items('finland', 5, 'a'),
        Items('spain', 8),
        Items('finland', 5, 'b'),
        source=dict(finland=5),
        target=dict(spain=4),
    )
    assert sorted(in_domain(list(sampler), 0, 5) + in_domain(list(sampler), 13, 18)) == [
        *range(5),
        *range(13, 18),
    ]


PAIR = Items('finland', 20), Items('spain', 20)
WORDS = 'name one target domain and at least one other source domain'


@pytest.mark.parametrize(
    'source, target, batch_size, words',
    [
        (
            dict(france=6),
            dict(spain=4),
            10,
            r"'france'.*\['finland', 'spain'\]",
        ),
        (dict(finland=6), dict(france=4), 10, "'france'"),
        (dict(finland=21), dict(spain=2), 23, "'finland' has 20 .*21"),
        (dict(finland=6), dict(spain=4), 12, r'finland.: 6.*spain.: 4.*add up to batch_size=12'),
        (dict(finland=10), dict(spain=0), 10, 'must be positive'),
        (dict(finland=-2), dict(spain=12), 10, 'must be positive'),
        (dict(), dict(spain=4), 4, WORDS),
        (dict(finland=4), dict(), 4, WORDS),
        (dict(finland=2, spain=2), dict(spain=4), 8, WORDS),
        (dict(finland=2), dict(spain=4, finland=2), 8, WORDS),
    ],
)
def test_mistakes(source: dict, target: dict, batch_size: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build(*PAIR, source=source, target=target, batch_size=batch_size)


def test_a_domain_has_to_feed_all_ranks() -> None:
    with pytest.raises(ValueError, match="'finland' has 20 .*24") as caught:
        ranks(3, *PAIR, source=dict(finland=8), target=dict(spain=4))
    advice = str(caught.value).split()
    assert 'train_dataloader.batch_sampler.source.finland=6' in advice
    assert 'train_dataloader.batch_size=10' in advice
    ranks(3, *PAIR, source=dict(finland=6), target=dict(spain=4))


def test_a_target_smaller_than_its_share_is_in_every_batch() -> None:
    sampler = build(*PAIR, source=dict(finland=6), target=dict(spain=64), min_steps=5)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 5
    assert all(sorted(batch[6:]) == list(range(20, 40)) for batch in batches)
    assert batches[0][6:] != batches[1][6:]


def test_a_target_of_three_images_is_refused() -> None:
    with pytest.raises(ValueError, match="'spain' has 3 images.* 4 at the very least"):
        build(Items('finland', 9), Items('spain', 3), source=dict(finland=4), target=dict(spain=2))


def test_an_image_of_both_sides_is_refused() -> None:
    """It would hand its caption to the target."""
    with pytest.raises(ValueError, match="'spain' share 4 .*a/0"):
        build(
            Items('finland', 9, 'a'),
            Items('spain', 4, 'a'),
            source=dict(finland=4),
            target=dict(spain=2),
        )


@pytest.fixture
def joined(tmp_path, monkeypatch) -> ConcatDataset:
    monkeypatch.undo()
    parts = []
    for domain, count in (('finland', 6), ('spain', 4)):
        root = tmp_path / domain
        entries = [item(f'{domain}{i}', ['a road']) for i in range(count)]
        for entry in entries:
            entry['domain'] = domain
        parts.append(ImageTextDataset(**write(root, entries, domain=domain)))
    return ConcatDataset(parts, ignore_keys=['dataset', 'domain', 'split'])


def test_real_datasets_in_a_loader(joined: ConcatDataset) -> None:
    inner = DefaultSampler(joined, shuffle=True, seed=3)
    sampler = CrossDomainSampler(inner, 4, source=dict(finland=2), target=dict(spain=2))
    domains = [
        [joined.get_data_info(position)['domain'] for position in batch] for batch in sampler
    ]
    assert domains == [['finland', 'finland', 'spain', 'spain']] * 2
    before = list(sampler)
    inner.set_epoch(1)  # mmengine does it through `batch_sampler.sampler`
    assert list(sampler) != before


@pytest.mark.parametrize('same', [True, False])
def test_a_copy_of_an_image_is_found_by_its_content(
    joined: ConcatDataset, tmp_path: Path, same: bool
) -> None:
    source, target = (tmp_path / domain / 'images' for domain in ('finland', 'spain'))
    content = (source / 'finland2.png').read_bytes()
    clone = content if same else content[:-1] + bytes([content[-1] ^ 1])
    for name in ('finland1.png', 'finland2.png'):  # of one name and size each, or not
        (source / name).write_bytes(content)
    (target / 'finland2.png').write_bytes(clone)
    joined.datasets[1].data_list = [
        dict(joined.datasets[1].get_data_info(i), img_path=str(target / name))
        for i, name in enumerate(('finland2.png', 'spain1.png', 'spain2.png', 'spain3.png'))
    ]
    joined.datasets[1].serialize_data = False
    build_it = (DefaultSampler(joined), 4, dict(finland=2), dict(spain=2))
    if same:
        with pytest.raises(ValueError, match=r'share 1 .*finland2\.png'):
            CrossDomainSampler(*build_it)
    else:
        assert len(CrossDomainSampler(*build_it)) == 2


def test_what_cannot_be_two_domains(joined: ConcatDataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='ConcatDataset .*ImageTextDataset'):
        CrossDomainSampler(DefaultSampler(joined.datasets[0]), 4, dict(finland=2), dict(spain=2))
    (tmp_path / 'link').symlink_to(tmp_path / 'finland' / 'images')
    linked = ImageTextDataset(
        ann_file=joined.datasets[0].ann_file,
        domain='spain',
        data_prefix=dict(img_path=str(tmp_path / 'link')),
    )
    twice = ConcatDataset([joined.datasets[0], linked], ignore_keys=['dataset', 'domain', 'split'])
    with pytest.raises(ValueError, match='share 6'):
        CrossDomainSampler(DefaultSampler(twice), 4, dict(finland=2), dict(spain=2))


def test_one_id_of_two_images_is_refused(joined: ConcatDataset) -> None:
    """A frozen selector would take the features of one for the other."""
    first, second = joined.datasets
    second.data_list = [
        dict(second.get_data_info(i), img_id=first.get_data_info(i)['img_id'])
        for i in range(len(second))
    ]
    second.serialize_data = False
    for info in second.data_list:  # a copy would be the same image
        Image.new('RGB', (8, 8), 'red').save(info['img_path'])
    with pytest.raises(ValueError, match='finland0.*spain0'):
        CrossDomainSampler(DefaultSampler(joined), 4, dict(finland=2), dict(spain=2))


@pytest.mark.parametrize('world', [2, 3, 4])
@pytest.mark.parametrize('count', [1, 2, 3])
def test_the_first_rank_never_lacks_a_target_item(world: int, count: int) -> None:
    """It writes the checkpoints, with its statistics of BatchNorm."""
    for size in range(max(4, count * world), 4 * count * world):
        samplers = ranks(
            world,
            Items('finland', 20),
            Items('spain', size),
            source=dict(finland=2),
            target=dict(spain=count),
        )
        for rank, sampler in enumerate(samplers):
            if rank == 0 or count > 1:
                assert all(in_domain([batch], 20, 20 + size) for batch in sampler)


@pytest.mark.parametrize('world', [1, 2])
def test_labels_of_the_target_are_repeated_until_they_fill_a_batch(
    joined: ConcatDataset, tmp_path: Path, world: int
) -> None:
    table = tmp_path / 'anchors.csv'
    table.write_text('image,caption\nspain2.png,my words\n')
    paths = dict(ann_file=joined.datasets[1].ann_file, anchors_file=str(table))
    folder = dict(data_prefix=joined.datasets[1].data_prefix)
    members = [
        joined.datasets[0],
        AnchorDataset(**paths, **folder),
        UnpairedDataset(**paths, **folder, domain='spain'),
    ]
    dataset = ConcatDataset(members, ignore_keys=['dataset', 'domain', 'split'])
    sampler = DefaultSampler(dataset)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_domain_sampler, 'get_dist_info', lambda: (world - 1, world))
        built = CrossDomainSampler(sampler, 6, dict(finland=1, anchors=4), dict(spain=1))
    for batch in built:
        assert batch.count(len(members[0])) == 4 and len(batch) <= 6
    # A pair of the target that is no label is refused as before.
    dataset = ConcatDataset(
        [
            joined.datasets[0],
            ImageTextDataset(ann_file=paths['ann_file'], domain='b', **folder),
            members[2],
        ],
        ignore_keys=['dataset', 'domain', 'split'],
    )
    with pytest.raises(ValueError, match='share'):
        CrossDomainSampler(DefaultSampler(dataset), 4, dict(finland=1, b=2), dict(spain=1))
