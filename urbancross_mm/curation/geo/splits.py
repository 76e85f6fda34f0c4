"""Dividing images so that the parts share no image and no place: pure decisions."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from urbancross_mm.curation.geo.positions import METERS_A_DEGREE

# Orders in which groups are dealt; the best deal counts. Many groups need few tries.
TRIES, DEALT = 64, 20_000
# Bounds are rounded: neighbors may overlap by this part of a side, and a margin be short by this
# many meters.
SLACK, ROUNDING = 1e-3, 0.05

Groups = Sequence[Sequence[str]]


class Tile(NamedTuple):
    """Where an image lies, in degrees; a point has no extent."""

    lon: float
    lat: float
    half_width: float = 0.0
    half_height: float = 0.0

    @property
    def side(self) -> float:
        """The longer side in meters."""
        across = self.half_width * math.cos(math.radians(self.lat))
        return 2 * METERS_A_DEGREE * max(across, self.half_height)


def tile_of(fields: Mapping[str, Any]) -> Tile | None:
    """Find out where an image lies.

    Args:
        fields (Mapping): With ``bounds``; or ``lon`` and ``lat``, and ``meters`` if known.

    Returns:
        Tile | None: None if nothing is known.
    """
    if fields.get('bounds'):
        west, south, east, north = fields['bounds']
        return Tile((west + east) / 2, (south + north) / 2, (east - west) / 2, (north - south) / 2)
    lon, lat = fields.get('lon'), fields.get('lat')
    if lon is None or lat is None:
        return None
    width, height = fields.get('meters') or (0.0, 0.0)
    across = METERS_A_DEGREE * math.cos(math.radians(lat))
    return Tile(lon, lat, width / 2 / across, height / 2 / METERS_A_DEGREE)


def block_of(tile: Tile, side: float) -> tuple[int, int]:
    """The square of a grid over the globe that the center of a tile lies in.

    Rows are bands of latitude; the columns of a row are as wide as it is high, at its middle.

    Args:
        tile (Tile): The tile.
        side (float): Of the square in meters.

    Returns:
        tuple[int, int]: Row and column.
    """
    row = math.floor(tile.lat * METERS_A_DEGREE / side)
    middle = min(89.0, abs((row + 0.5) * side / METERS_A_DEGREE))
    across = METERS_A_DEGREE * math.cos(math.radians(middle))
    return row, math.floor(tile.lon * across / side)


def group_images(
    names: Sequence[str], shas: Mapping[str, str | None], places: Mapping[str, Hashable]
) -> list[list[str]]:
    """Put together what must not be torn apart.

    Args:
        names (Sequence[str]): Distinct names.
        shas (Mapping): Content of each image; a repeated one goes where the first of its names
            goes.
        places (Mapping): What each image shares with others, such as its block; a name that is
            missing stands alone.

    Returns:
        list[list[str]]: Groups of sorted names, in the order of their first ones: the same for any
        order of the names.
    """
    groups: dict[Hashable, list[str]] = defaultdict(list)
    first: dict[str, str] = {}
    for name in sorted(names):
        sha = shas.get(name)
        one = name if sha is None else first.setdefault(sha, name)
        groups[places.get(one, ('alone', one))].append(name)
    return list(groups.values())


def deal(
    groups: Groups, shares: Mapping[str, float], seed: int, strata: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Deal whole groups to splits so that the shares are met as nearly as possible.

    Groups come in random order, each to the split that it brings nearest to its share (in every
    stratum and in all, by chi-square); of several orders the best counts. Every split gets a group.

    Args:
        groups (Groups): Names that stay together.
        shares (Mapping[str, float]): Part of the whole for each split, above 0, with sum 1.
        seed (int): Of the orders.
        strata (Mapping[str, str], optional): Class of each name; each shall have its share in every
            split. Defaults to None.

    Returns:
        dict[str, str]: Split of each name.

    Raises:
        ValueError: If there are fewer groups than splits.
    """
    if len(groups) < len(shares):
        raise ValueError(f'{len(groups)} groups of images cannot fill {" and ".join(shares)}')
    sizes = [Counter({None: len(group)}) for group in groups]  # None counts everything
    if strata is not None:
        for size, group in zip(sizes, groups):
            size.update(strata[name] for name in group)
    whole: Counter[str | None] = sum(sizes, Counter())
    targets = {
        split: {stratum: share * count for stratum, count in whole.items()}
        for split, share in shares.items()
    }
    random = np.random.default_rng(seed)
    tries = max(1, min(TRIES, DEALT // len(groups)))
    deals = (
        _deal_once(sizes, targets, random.permutation(len(groups)).tolist()) for _ in range(tries)
    )
    _, dealt = min(deals, key=lambda one: one[0])
    return {name: split for group, split in zip(groups, dealt) for name in group}


def gaps(tiles: Sequence[Tile], others: Sequence[Tile], reach: float) -> list[float]:
    """Measure how near each tile comes to others.

    Args:
        tiles (Sequence[Tile]): N tiles.
        others (Sequence[Tile]): The others.
        reach (float): Meters to look.

    Returns:
        list[float]: One a tile, in meters: ``-inf`` if it overlaps one (tiles that only touch do
        not), ``inf`` if none is within reach.
    """
    if not others:
        return [math.inf] * len(tiles)
    lon, lat, half_width, half_height = np.array(sorted(others, key=lambda tile: tile.lat)).T
    tallest = half_height.max() + reach / METERS_A_DEGREE
    found = []
    for tile in tiles:
        ends = tile.half_height + tallest
        start, end = np.searchsorted(lat, [tile.lat - ends, tile.lat + ends])
        part = slice(start, end + 1)
        across = METERS_A_DEGREE * math.cos(math.radians(tile.lat))
        east = np.abs((lon[part] - tile.lon + 180) % 360 - 180)  # also across the date line
        north = np.abs(lat[part] - tile.lat)
        width, height = half_width[part] + tile.half_width, half_height[part] + tile.half_height
        overlap = (east < width * (1 - SLACK)) & (north < height * (1 - SLACK))
        gap = np.hypot(
            np.maximum(0, east - width) * across, np.maximum(0, north - height) * METERS_A_DEGREE
        )
        least = np.where(overlap, -math.inf, gap).min(initial=math.inf)
        found.append(float(least) if least <= reach else math.inf)
    return found


def too_near(
    split_of: Mapping[str, str],
    tiles: Mapping[str, Tile],
    margin: float,
    order: Sequence[str] = ('train', 'val', 'test'),
) -> dict[str, tuple[str, float]]:
    """Choose the images to give up so that no tile overlaps or is near one of another split.

    Args:
        split_of (Mapping[str, str]): Split of each image.
        tiles (Mapping[str, Tile]): Of the images whose place is known.
        margin (float): Tiles nearer than this many meters are too near; at 0 only those that
            overlap.
        order (Sequence[str]): Of two tiles, the one whose split stands first here is given up.
            Defaults to ('train', 'val', 'test').

    Returns:
        dict[str, tuple[str, float]]: Images to give up, each with a split that it is too near to
        and its gap to that, see :func:`gaps`.
    """
    members = {
        split: [name for name in sorted(tiles) if split_of.get(name) == split] for split in order
    }
    given_up: dict[str, tuple[str, float]] = {}
    # The last split gives up nothing; what an earlier one gives up no longer disturbs the first.
    for place in reversed(range(len(order) - 1)):
        for later in order[place + 1 :]:
            others = [tiles[name] for name in members[later] if name not in given_up]
            own = [name for name in members[order[place]] if name not in given_up]
            found = gaps([tiles[name] for name in own], others, margin)
            given_up.update(
                (name, (later, gap))
                for name, gap in zip(own, found)
                if gap < max(0.0, margin - ROUNDING)
            )
    return given_up


def _deal_once(
    sizes: Sequence[Counter],
    targets: Mapping[str, Mapping[str | None, float]],
    order: Sequence[int],
) -> tuple[float, list[str]]:
    """Deal in one order: how far the splits are from their targets, and the split of each group."""
    filled = {split: dict.fromkeys(counts, 0.0) for split, counts in targets.items()}
    empty = list(targets)
    dealt = [''] * len(sizes)
    for done, place in enumerate(order):
        size = sizes[place]
        choice = empty if len(sizes) - done <= len(empty) else list(targets)
        split = min(
            choice,
            key=lambda one: sum(
                count * (2 * (filled[one][key] - targets[one][key]) + count) / targets[one][key]
                for key, count in size.items()
            ),
        )
        for key, count in size.items():
            filled[split][key] += count
        if split in empty:
            empty.remove(split)
        dealt[place] = split
    distance = sum(
        (filled[split][key] - target) ** 2 / target
        for split, counts in targets.items()
        for key, target in counts.items()
    )
    return distance, dealt
