"""Assigning images to splits that share no image and no location: pure functions."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from urbancross_mm.geo.positions import METERS_A_DEGREE

# Number of random orders to try; fewer for many groups.
TRIES, MOST_ASSIGNED = 64, 20_000
# Bounds are rounded: neighbors may overlap by this part of a side, and a margin may be short by
# this many meters.
SLACK, ROUNDING = 1e-3, 0.05

Groups = Sequence[Sequence[str]]
Sizes = Counter[str | None]


class Tile(NamedTuple):
    """Position and extent of an image in degrees. A point has no extent."""

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
    """Position of an image: from its bounds, or from ``lon`` and ``lat``; None if unknown."""
    if fields.get('bounds'):
        west, south, east, north = fields['bounds']
        return Tile((west + east) / 2, (south + north) / 2, (east - west) / 2, (north - south) / 2)
    lon, lat = fields.get('lon'), fields.get('lat')
    if lon is None or lat is None:
        return None
    width, height = fields.get('metres') or (0.0, 0.0)
    across = METERS_A_DEGREE * math.cos(math.radians(lat))
    return Tile(lon, lat, width / 2 / across, height / 2 / METERS_A_DEGREE)


def block_of(tile: Tile, side: float) -> tuple[int, int]:
    """Row and column of the grid cell with the center of a tile; ``side`` is in meters.

    Rows are bands of latitude. The cells of a row are square at the middle of the row.
    """
    row = math.floor(tile.lat * METERS_A_DEGREE / side)
    middle = min(89.0, abs((row + 0.5) * side / METERS_A_DEGREE))
    across = METERS_A_DEGREE * math.cos(math.radians(middle))
    return row, math.floor(tile.lon * across / side)


def group_images(
    names: Sequence[str], shas: Mapping[str, str | None], blocks: Mapping[str, Hashable]
) -> list[list[str]]:
    """Group the images that must share a split, in an order that does not depend on the input.

    Duplicates (equal ``shas``) stay together, and so do images with the same block. An image
    without a block is a group of its own.
    """
    groups: dict[Hashable, list[str]] = defaultdict(list)
    first: dict[str, str] = {}
    for name in sorted(names):
        sha = shas.get(name)
        original = name if sha is None else first.setdefault(sha, name)
        groups[blocks.get(original, ('alone', original))].append(name)
    return list(groups.values())


def assign_splits(
    groups: Groups, shares: Mapping[str, float], seed: int, strata: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Assign whole groups to splits, as close to the shares as possible.

    In random order, each group goes to the split that it brings closest to its share, in every
    stratum and in total, by chi-square. The best of several orders counts. Every split gets at
    least one group.
    """
    if len(groups) < len(shares):
        raise ValueError(f'{len(groups)} groups of images cannot fill {" and ".join(shares)}')
    sizes: list[Sizes] = [Counter({None: len(group)}) for group in groups]  # None: the total
    if strata is not None:
        for size, group in zip(sizes, groups):
            size.update(strata[name] for name in group)
    whole: Sizes = sum(sizes, Counter())
    targets = {
        split: {stratum: share * count for stratum, count in whole.items()}
        for split, share in shares.items()
    }
    random = np.random.default_rng(seed)
    tries = max(1, min(TRIES, MOST_ASSIGNED // len(groups)))
    results = (
        _assign_once(sizes, targets, random.permutation(len(groups)).tolist()) for _ in range(tries)
    )
    _, splits = min(results, key=lambda result: result[0])
    return {name: split for group, split in zip(groups, splits) for name in group}


def distances(tiles: Sequence[Tile], others: Sequence[Tile], reach: float) -> list[float]:
    """Distance in meters from each tile to the nearest of the others.

    It is ``-inf`` for an overlap (tiles that only touch do not overlap), and ``inf`` beyond
    ``reach`` meters.
    """
    if not others:
        return [math.inf] * len(tiles)
    lon, lat, half_width, half_height = np.array(sorted(others, key=lambda tile: tile.lat)).T
    tallest = half_height.max() + reach / METERS_A_DEGREE
    nearest = []
    for tile in tiles:
        ends = tile.half_height + tallest
        start, end = np.searchsorted(lat, [tile.lat - ends, tile.lat + ends])
        part = slice(start, end + 1)
        across = METERS_A_DEGREE * math.cos(math.radians(tile.lat))
        east = np.abs((lon[part] - tile.lon + 180) % 360 - 180)  # also across the date line
        north = np.abs(lat[part] - tile.lat)
        width, height = half_width[part] + tile.half_width, half_height[part] + tile.half_height
        overlap = (east < width * (1 - SLACK)) & (north < height * (1 - SLACK))
        between = np.hypot(
            np.maximum(0, east - width) * across, np.maximum(0, north - height) * METERS_A_DEGREE
        )
        least = np.where(overlap, -math.inf, between).min(initial=math.inf)
        nearest.append(float(least) if least <= reach else math.inf)
    return nearest


def too_close(
    split_of: Mapping[str, str],
    tiles: Mapping[str, Tile],
    margin: float,
    order: Sequence[str] = ('train', 'val', 'test'),
) -> dict[str, tuple[str, float]]:
    """Choose the images to drop so that no tile overlaps or is near a tile of another split.

    Tiles nearer than ``margin`` meters are too close; with 0 only those that overlap. Of two tiles,
    the one whose split comes first in ``order`` is dropped. The result has the other split and the
    distance to it.
    """
    members = {
        split: [name for name in sorted(tiles) if split_of.get(name) == split] for split in order
    }
    dropped: dict[str, tuple[str, float]] = {}
    # The last split loses nothing. What a later split loses no longer disturbs an earlier one.
    for index in reversed(range(len(order) - 1)):
        for later in order[index + 1 :]:
            others = [tiles[name] for name in members[later] if name not in dropped]
            own = [name for name in members[order[index]] if name not in dropped]
            nearest = distances([tiles[name] for name in own], others, margin)
            dropped.update(
                (name, (later, distance))
                for name, distance in zip(own, nearest)
                if distance < max(0.0, margin - ROUNDING)
            )
    return dropped


def _assign_once(
    sizes: Sequence[Sizes],
    targets: Mapping[str, Mapping[str | None, float]],
    order: Sequence[int],
) -> tuple[float, list[str]]:
    """Assign in one order: the distance from the targets, and the split of each group."""
    filled = {split: dict.fromkeys(counts, 0.0) for split, counts in targets.items()}
    empty = list(targets)
    splits = [''] * len(sizes)
    for done, index in enumerate(order):
        size = sizes[index]
        choice = empty if len(sizes) - done <= len(empty) else list(targets)
        split = min(
            choice,
            key=lambda name: sum(
                count * (2 * (filled[name][key] - targets[name][key]) + count) / targets[name][key]
                for key, count in size.items()
            ),
        )
        for key, count in size.items():
            filled[split][key] += count
        if split in empty:
            empty.remove(split)
        splits[index] = split
    distance = sum(
        (filled[split][key] - target) ** 2 / target
        for split, counts in targets.items()
        for key, target in counts.items()
    )
    return distance, splits
