"""The decisions that keep splits apart, against brute force."""

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest

from urbancross_mm.curation.geo.splits import (
    Tile,
    assign_splits,
    block_of,
    distances,
    group_images,
    tile_of,
    too_close,
)
from urbancross_mm.geo.positions import METERS_A_DEGREE, describe_bounds

SHARES = dict(test=0.2, val=0.1, train=0.7)
METER = 1 / METERS_A_DEGREE  # degrees, at the equator


def square(x: float, y: float, side: float = 100, lat: float = 0) -> Tile:
    """A tile whose corner lies x and y meters from a place at the prime meridian."""
    across = math.cos(math.radians(lat))
    return Tile(
        (x + side / 2) * METER / across,
        lat + (y + side / 2) * METER,
        side / 2 * METER / across,
        side / 2 * METER,
    )


def test_where_an_image_lies() -> None:
    fields = describe_bounds([24.9, 60.1, 24.92, 60.11])
    tile = tile_of(fields)
    assert tile.lon == pytest.approx(24.91) and tile.half_height == pytest.approx(0.005)
    without = tile_of({key: fields[key] for key in ('lon', 'lat', 'metres')})
    assert without == pytest.approx(tile, abs=1e-6) and without.side == pytest.approx(tile.side)
    assert tile_of(dict(lon=1.0, lat=0.0)) == Tile(1.0, 0.0) and tile_of(dict(lon=1.0)) is None
    assert tile_of(dict(bounds=None, lon=None, lat=None)) is None


@pytest.mark.parametrize('lat', [0.0, 40.4, -60.2])
def test_blocks_are_squares_of_meters(lat: float) -> None:
    tiles = [square(x, y, 10, lat) for x, y in product(range(0, 4000, 10), repeat=2)]
    counts = Counter(block_of(tile, 400) for tile in tiles)
    # 4 km are ten blocks and their parts at both ends; whole ones hold 40 x 40 tiles.
    whole = [count for count in counts.values() if count > 1400]
    assert 100 <= len(counts) <= 144 and len(whole) >= 64
    assert all(abs(count - 1600) < 90 for count in whole)


def test_groups_are_blocks_and_repetitions_follow_the_first() -> None:
    blocks = dict(a='one', b='one', c='two', d='two')
    shas = dict(a='1', b='2', c='3', d='1', e='4', f='4', g=None, h=None)
    groups = group_images('hgfedcba', shas, blocks)
    assert groups == [['a', 'b', 'd'], ['c'], ['e', 'f'], ['g'], ['h']]
    assert groups == group_images('abcdefgh', shas, blocks)


@pytest.mark.parametrize('count', [4, 5, 10, 20, 101, 1000])
def test_single_images_meet_their_shares(count: int) -> None:
    splits = assign_splits([[str(n)] for n in range(count)], SHARES, 0)
    counts = Counter(splits.values())
    assert all(
        counts[split] >= 1 and abs(counts[split] - share * count) <= 1.01
        for split, share in SHARES.items()
    )


def test_splits_are_seeded_and_spread() -> None:
    groups = [[str(n)] for n in range(400)]
    assert (
        assign_splits(groups, SHARES, 0)
        == assign_splits(groups, SHARES, 0)
        != assign_splits(groups, SHARES, 1)
    )
    test = [
        int(name) for name, split in assign_splits(groups, SHARES, 0).items() if split == 'test'
    ]
    assert 150 < np.mean(test) < 250 and max(np.diff(sorted(test))) > 8


def test_whole_groups_meet_shares_as_nearly_as_possible() -> None:
    random = np.random.default_rng(0)
    sizes = random.integers(1, 30, 60).tolist()
    groups = [
        [f'{number}/{position}' for position in range(size)] for number, size in enumerate(sizes)
    ]
    splits = assign_splits(groups, SHARES, 3)
    assert all(len({splits[name] for name in group}) == 1 for group in groups)
    counts = Counter(splits.values())
    assert all(abs(counts[split] - share * sum(sizes)) <= 3 for split, share in SHARES.items())
    # Large groups are not all in the largest split.
    large = {splits[group[0]] for group in groups if len(group) > 20}
    assert large == set(SHARES)


def test_few_groups_fill_every_split() -> None:
    groups = [[f'a{n}' for n in range(90)], ['b'], ['c']]
    assert len(set(assign_splits(groups, SHARES, 0).values())) == 3
    with pytest.raises(ValueError, match='2 groups.*test and val and train'):
        assign_splits(groups[:2], SHARES, 0)


def test_every_stratum_has_its_share() -> None:
    strata = {
        f'{label}{n}': label
        for label, count in (('forest', 50), ('port', 20), ('x', 10))
        for n in range(count)
    }
    splits = assign_splits([[name] for name in strata], SHARES, 0, strata)
    for label, count in Counter(strata.values()).items():
        counts = Counter(splits[name] for name, one in strata.items() if one == label)
        assert all(abs(counts[split] - share * count) <= 1 for split, share in SHARES.items())


def brute_gap(one: Tile, other: Tile) -> float:
    across = METERS_A_DEGREE * math.cos(math.radians(one.lat))
    east = (abs(one.lon - other.lon) - one.half_width - other.half_width) * across
    north = (abs(one.lat - other.lat) - one.half_height - other.half_height) * METERS_A_DEGREE
    if east < -0.5 and north < -0.5:
        return -math.inf
    return math.hypot(max(0, east), max(0, north))


@pytest.mark.parametrize('lat', [0.0, 60.2])
def test_distances_equal_brute_force(lat: float) -> None:
    random = np.random.default_rng(0)
    tiles = [
        square(*random.integers(0, 3000, 2), side=int(side), lat=lat)
        for side in random.choice([50, 100, 300], 120)
    ]
    for reach in (0.0, 150.0):
        results = distances(tiles[:60], tiles[60:], reach)
        wanted = [min(brute_gap(item, other) for other in tiles[60:]) for item in tiles[:60]]
        wanted = [meters if meters <= reach else math.inf for meters in wanted]
        assert results == pytest.approx(wanted, abs=1e-6)
    assert distances(tiles, [], 10) == [math.inf] * 120


def test_touching_tiles_do_not_overlap_whatever_the_rounding() -> None:
    left = tile_of(describe_bounds([24.1, 60.1, 24.1 + 1 / 3000, 60.1 + 1 / 3000]))
    right = tile_of(describe_bounds([24.1 + 1 / 3000, 60.1, 24.1 + 2 / 3000, 60.1 + 1 / 3000]))
    assert distances([left], [right], 1)[0] == pytest.approx(0, abs=0.02)


def test_the_date_line_is_no_border() -> None:
    east, west = Tile(179.9999, 10, 0.00005, 0.00005), Tile(-179.9999, 10, 0.00005, 0.00005)
    assert distances([east], [west], 100)[0] == pytest.approx(
        1e-4 * METERS_A_DEGREE * 0.985, abs=0.1
    )


def test_train_is_given_up_first_and_test_never() -> None:
    tiles = dict(
        t=square(0, 0), v=square(50, 0), a=square(130, 0), b=square(180, 0), c=square(400, 0)
    )
    split_of = dict(t='test', v='val', a='train', b='train', c='train')
    # v overlaps t and goes; then nothing overlaps a.
    assert too_close(split_of, tiles, 0) == dict(v=('test', -math.inf))
    wide = too_close(split_of, tiles, 60)
    assert wide['a'] == ('test', pytest.approx(30)) and set(wide) == {'v', 'a'}
    assert set(too_close(split_of, tiles, 80.1)) == {'v', 'a', 'b'}
    # A distance of exactly the margin is enough. Images without a position do not matter.
    assert set(too_close(split_of, tiles, 80)) == {'v', 'a'}
    assert too_close(dict(split_of, d='val'), tiles, 0) == too_close(split_of, tiles, 0)
