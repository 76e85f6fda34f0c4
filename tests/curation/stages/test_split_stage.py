"""The split stage on whole sets of images."""

from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from urbancross_mm.curation import DROPPED, ImageRecord, Manifest, Outcome, Workspace, run_stage
from urbancross_mm.curation.core.records import Record
from urbancross_mm.curation.geo.splits import distances, tile_of
from urbancross_mm.curation.stages.split_stage import SplitStage
from urbancross_mm.geo.positions import METERS_A_DEGREE, describe_bounds

WORKSPACE = Workspace(Path('in'), Path('out'))


def plain(count: int, **fields: Any) -> list[ImageRecord]:
    return [
        ImageRecord(f'{n:04d}.jpg', dict(sha=str(n), source=f'{n:04d}.jpg', **fields))
        for n in range(count)
    ]


def city(side: int, step: float = 50, size: float = 100, lat: float = 60.0) -> list[ImageRecord]:
    """Windows over one place that overlap where ``step < size``."""
    across = METERS_A_DEGREE * np.cos(np.radians(lat))
    images = []
    for row in range(side):
        for column in range(side):
            west, south = 25 + column * step / across, lat + row * step / METERS_A_DEGREE
            bounds = [west, south, west + size / across, south + size / METERS_A_DEGREE]
            images.append(
                ImageRecord(
                    f'r{row:03d}_c{column:03d}.png',
                    dict(sha=f'{row} {column}', source='city.tif', **describe_bounds(bounds)),
                )
            )
    return images


def parts(
    images: list[ImageRecord], outcomes: list[Outcome], field: str = 'split'
) -> dict[str, list[ImageRecord]]:
    results: dict[str, list[ImageRecord]] = {}
    for image, outcome in zip(images, outcomes):
        results.setdefault(outcome.fields.get(field), []).append(image)
    return results


def decide(images: list[ImageRecord], **options: Any) -> list[Outcome]:
    return SplitStage(**options).decide(images, WORKSPACE)


def test_shares_and_nesting() -> None:
    images = plain(200)
    outcomes = decide(images)
    splits = parts(images, outcomes)
    assert {split: len(one) for split, one in splits.items()} == dict(test=40, val=20, train=140)
    nested = parts(images, outcomes, 'finetune')
    assert len(nested['finetune']) == 40 and len(nested['finetune_val']) == 20
    test = {image.name for image in splits['test']}
    assert not test & {
        image.name for part in ('finetune', 'finetune_val') for image in nested[part]
    }


def test_the_order_of_the_images_does_not_matter_and_the_seed_does(tmp_path: Path) -> None:
    images = plain(50)
    outcomes = decide(images)
    assert decide(images[::-1]) == outcomes[::-1]
    assert decide(images, seed=1) != outcomes
    workspace = Workspace(tmp_path, tmp_path / 'out')
    run_stage(SplitStage(), images, workspace)
    first = (tmp_path / 'out/manifest/split.jsonl').read_bytes()
    run_stage(SplitStage(), images, workspace)
    assert (tmp_path / 'out/manifest/split.jsonl').read_bytes() == first


def test_equal_files_stay_together() -> None:
    images = [image.plus(dict(sha=str(n // 3))) for n, image in enumerate(plain(90))]
    for field in ('split', 'finetune'):
        of = [outcome.fields[field] for outcome in decide(images)]
        assert of[::3] == of[1::3] == of[2::3]


def test_stratified_by_a_field() -> None:
    images = [
        image.plus(dict(label='port' if n % 5 == 0 else None)) for n, image in enumerate(plain(100))
    ]
    outcomes = decide(images, stratify='label')
    ports = Counter(outcome.fields['split'] for outcome in outcomes[::5])
    assert ports == dict(test=4, val=2, train=14)
    ports = Counter(outcome.fields['finetune'] for outcome in outcomes[::5])
    assert ports == {'finetune': 4, 'finetune_val': 2, None: 14}


@pytest.mark.parametrize('margin', [0, 120])
def test_no_place_is_in_two_splits(margin: float) -> None:
    images = city(40)
    stage = SplitStage(block_meters=500, margin_meters=margin)
    outcomes = stage.decide(images, WORKSPACE)
    splits = parts(images, outcomes)
    dropped = splits.pop(None)
    for first, second in combinations(splits, 2):
        tiles = [[tile_of(image.fields) for image in splits[split]] for split in (first, second)]
        assert min(distances(*tiles, reach=1000)) >= margin - 0.05
    nested = parts(images, outcomes, 'finetune')
    tiles = [
        [tile_of(image.fields) for image in nested[part]] for part in ('finetune', 'finetune_val')
    ]
    assert min(distances(*tiles, reach=1000)) >= margin - 0.05
    assert 0 < len(dropped) < 0.75 * len(images)
    # Neither are tiles of a test block torn out of it.
    assert abs(len(splits['test']) - 0.2 * 1600) < 60
    reasons = {outcome.reason for outcome in outcomes if outcome.status == DROPPED}
    assert 'train tile overlaps one of test' in reasons
    assert ('train tile is within 120 m of one of test' in reasons) == bool(margin)


def test_tiles_side_by_side_cost_nothing() -> None:
    images = city(24, step=100)
    outcomes = decide(images)
    assert all(outcome.status == 'kept' for outcome in outcomes)
    counts = Counter(outcome.fields['split'] for outcome in outcomes)
    assert abs(counts['test'] - 115) < 12 and abs(counts['val'] - 58) < 12


def test_the_default_block_is_said(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, tmp_path / 'out')
    _, report = run_stage(SplitStage(), city(24, step=100), workspace)
    assert 'blocks of 400 m (4 tile widths)' in str(report)
    _, report = run_stage(SplitStage(), plain(30), workspace)
    assert 'blocks' not in str(report)


def test_blocks_can_be_switched_off() -> None:
    images = city(20)
    outcomes = decide(images, block_meters=0)
    assert Counter(outcome.fields['split'] for outcome in outcomes) == dict(
        test=80, val=40, train=280
    )


def test_an_image_without_a_position_stays_with_its_source() -> None:
    lost = [
        ImageRecord(f'x{n}.png', dict(sha=f'x{n}', source=f'lost{n // 20}.tif')) for n in range(100)
    ]
    outcomes = decide([*city(24, step=100), *lost])[-100:]
    for start in range(0, 100, 20):
        assert len({outcome.fields['split'] for outcome in outcomes[start : start + 20]}) == 1


def test_points_are_blocked_on_request() -> None:
    images = [
        ImageRecord(f'{n}.jpg', dict(sha=str(n), lon=25 + n % 20 / 1e3, lat=60 + n // 20 / 1e3))
        for n in range(400)
    ]
    assert all(outcome.status == 'kept' for outcome in decide(images))
    outcomes = decide(images, block_meters=300, margin_meters=80)
    splits = parts(images, outcomes)
    tiles = [[tile_of(item.fields) for item in splits[split]] for split in ('train', 'test')]
    assert min(distances(*tiles, reach=1000)) >= 80


def test_one_image() -> None:
    with pytest.raises(
        ValueError,
        match='1 distinct images.*test, val, train',
    ):
        decide(plain(1))
    outcomes = decide(plain(1), test=0, val=0, finetune=0, finetune_val=0)
    assert outcomes[0].fields == dict(split='train', finetune=None)
    duplicates = [image.plus(dict(sha='same')) for image in plain(5)]
    with pytest.raises(ValueError, match='1 distinct images'):
        decide(duplicates)


def test_a_split_that_stays_empty_is_named() -> None:
    with pytest.raises(ValueError, match='no image'):
        decide([])
    with pytest.raises(ValueError, match=r'blocks of 5000 m \(block_meters\)'):
        decide(city(4), block_meters=5000)
    with pytest.raises(ValueError, match='5000 m'):
        decide(city(24, step=100), margin_meters=5000)
    with pytest.raises(ValueError, match='block_meters.*lon and lat'):
        decide(plain(30), margin_meters=100)
    two_of_them = [image.plus(dict(sha=str(min(n, 1)))) for n, image in enumerate(plain(9))]
    with pytest.raises(ValueError, match='1 distinct images.*finetune, finetune_val'):
        decide(two_of_them, test=0.1, val=0)


@pytest.mark.parametrize(
    'options',
    [
        dict(test=0.6, val=0.4),
        dict(test=-0.1),
        dict(finetune=0.8),
        dict(block_meters=-1),
        dict(margin_meters=-1),
        dict(block_meters=0, margin_meters=5),
    ],
)
def test_wrong_options(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match='got'):
        SplitStage(**options)


def test_many_images_do_not_take_long() -> None:
    counts = Counter(outcome.fields['split'] for outcome in decide(plain(20_000)))
    assert counts == dict(test=4000, val=2000, train=14000)


@pytest.mark.parametrize('known', [{}, dict(lon=1.0, lat=2.0)])
def test_tiles_of_a_raster_without_bounds_stay_together(known: dict) -> None:
    images = [
        ImageRecord(f'{n:03d}.png', dict(sha=str(n), source=f'{n // 6}.tif', **known))
        for n in range(120)
    ]
    for field in ('split', 'finetune'):
        of = [outcome.fields[field] for outcome in decide(images)]
        assert all(len(set(of[start : start + 6])) == 1 for start in range(0, 120, 6))
    of = [outcome.fields['split'] for outcome in decide(images, block_meters=0)]
    assert any(len(set(of[start : start + 6])) > 1 for start in range(0, 120, 6))
    with pytest.raises(ValueError, match='2 distinct images .*block_meters=0'):
        decide(images[:12])


@pytest.mark.parametrize(('side', 'widths'), [(16, 4), (8, 2), (4, 1), (2, 1)])
def test_small_areas_get_smaller_blocks(side: int, widths: int, tmp_path: Path) -> None:
    images = city(side, step=100)
    kept, report = run_stage(
        SplitStage(finetune=0, finetune_val=0), images, Workspace(tmp_path, tmp_path)
    )
    assert len(kept) == side**2
    assert f'blocks of {100 * widths} m ({widths} tile widths)' in str(report)
    assert ('too small' in str(report)) == (widths < 4)


def test_training_images_that_become_test_are_counted(tmp_path: Path) -> None:
    workspace, images = Workspace(tmp_path, tmp_path), plain(60)
    before, _ = run_stage(SplitStage(), images, workspace)
    _, unexported = run_stage(SplitStage(), images[1:], workspace)
    assert unexported.remarks == ()
    Manifest(tmp_path / 'manifest/export.jsonl').write(
        Record(item.name, '', Outcome(dict(split=item.fields['split'])), {}) for item in before
    )
    _, same = run_stage(SplitStage(), images, workspace)
    assert same.remarks == ()
    for _ in range(2):  # until it is exported
        after, report = run_stage(SplitStage(), images[1:], workspace)
        moved = sum(
            item.fields['split'] != 'test' == other.fields['split']
            for item, other in zip(before[1:], after)
        )
        assert moved and f'{moved} test images' in str(report)
