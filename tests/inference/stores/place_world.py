"""Items on a map for the tests of stores, and what a filter keeps of them by plain Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyproj import Geod
from shapely import Point, Polygon

from urbancross_mm.inference.stores import StoreItem

WIDTH = 32
SHARES = (0.001, 0.01, 0.1, 0.5, 1.0)
CENTER = (179.95, 10.0)  # the antimeridian runs through the world
KINDS = ('compare', 'not', 'any', 'tags any', 'tags all', 'date', 'box', 'near', 'polygon', 'all')
Passes = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True)
class Case:
    """A filter in its own language, and as a function of an item's attributes."""

    where: tuple[str, ...]
    passes: Passes


def make_items(rows: int, seed: int = 0) -> list[StoreItem]:
    """Clustered unit vectors; attributes by a rank that has nothing to do with them."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((20, WIDTH))
    embeds = middles[rng.integers(20, size=rows)] + 0.7 * rng.standard_normal((rows, WIDTH))
    embeds = (embeds / np.linalg.norm(embeds, axis=1, keepdims=True)).astype(np.float32)
    ranks = rng.permutation(rows).tolist()
    bearings = rng.uniform(0, 360, rows)
    meters = np.array([100 * (rank + 1) for rank in ranks])
    starts = np.full(rows, CENTER[0]), np.full(rows, CENTER[1])
    lons, lats, _ = Geod(ellps='WGS84').fwd(*starts, bearings, meters)
    return [
        StoreItem(f'{i:05}.jpg', embeds[i], describe(rank, rows, float(lons[i]), float(lats[i])))
        for i, rank in enumerate(ranks)
    ]


def describe(rank: int, rows: int, lon: float, lat: float) -> dict[str, Any]:
    """Attributes of the item of a rank; some lack the optional ones."""
    shares = [share for share in SHARES if rank < share * rows]
    attributes: dict[str, Any] = dict(
        img_path=f'/data/{rank}.jpg',
        lon=lon,
        lat=lat,
        rank=rank,
        country=f'c{rank % 7}',
        bucket=f'b{min(shares)}',
        tags=['all', *(f't{share}' for share in shares)],
        date=f'{2000 + rank * 24 // rows}-{1 + rank % 12:02}-{1 + rank % 28:02}',
        mixed=[rank, f'{rank}', rank % 2 == 0, None][rank % 4],
        bounds=[lon, lat, lon, lat],
    )
    if rank % 5:
        attributes['gsd'] = rank / rows
    return attributes


def cases(items: list[StoreItem], share: float) -> Iterator[tuple[str, Case]]:
    """One filter of each kind that keeps about a share of the items."""
    rows = len(items)
    most, known = share * rows, [s for s in SHARES if s <= share]
    year = 2000 + max(int(share * 24) - 1, 0)
    yield 'compare', Case((f'rank<{most}',), lambda a: a['rank'] < most)
    yield (
        'not',
        Case(
            (f'rank<{most}', 'gsd!=0.25', 'country!=c3|c4'),
            lambda a: (
                a['rank'] < most and a.get('gsd', 0.25) != 0.25 and a['country'] not in ('c3', 'c4')
            ),
        ),
    )
    names = [f'b{s}' for s in known]
    yield 'any', Case((f'bucket={"|".join(names)}',), lambda a: a['bucket'] in names)
    yield 'tags any', Case((f'tags=none|t{share}',), lambda a: f't{share}' in a['tags'])
    yield 'tags all', Case((f'tags=all+t{share}',), lambda a: f't{share}' in a['tags'])
    yield 'date', Case((f'date=..{year}-06',), lambda a: a['date'][:7] <= f'{year}-06')
    yield from places(items, share)
    yield (
        'all',
        Case(
            (f'rank<{most}', f'near={CENTER[0]},{CENTER[1]},{100 * most + 50}', 'tags=all'),
            lambda a: a['rank'] < most,
        ),
    )


def places(items: list[StoreItem], share: float) -> Iterator[tuple[str, Case]]:
    """Box, circle and polygon around the center that keep about a share of the items."""
    lon, lat = CENTER
    offsets = [offset(item.attributes) for item in items]
    number = max(round(share * len(items)), 1)

    def reach(distances: list[float]) -> float:
        ordered = [*sorted(distances), max(distances) + 1]
        return (ordered[number - 1] + ordered[number]) / 2

    side = reach([max(abs(x), abs(y)) for x, y in offsets])
    east = lon + side - 360 if lon + side > 180 else lon + side
    yield (
        'box',
        Case(
            (f'bbox={lon - side},{lat - side},{east},{lat + side}',),
            lambda a: max(map(abs, offset(a))) <= side,
        ),
    )
    meters = 100 * number + 50
    yield 'near', Case((f'near={lon},{lat},{meters}',), lambda a: a['rank'] < number)
    size = reach([abs(x) + abs(y) for x, y in offsets])
    hole = 0.4 * size if number > 2 else 1e-4
    shape = Polygon(diamond(lon, lat, size), [diamond(lon, lat, hole)])
    yield (
        'polygon',
        Case((f'polygon={shape.wkt}',), lambda a: shape.intersects(Point(unrolled(a), a['lat']))),
    )


def unrolled(attributes: dict[str, Any]) -> float:
    """Longitude beyond 180 east of the antimeridian."""
    return attributes['lon'] + (360 if attributes['lon'] < 0 else 0)


def offset(attributes: dict[str, Any]) -> tuple[float, float]:
    """Degrees from the center of the world."""
    return unrolled(attributes) - CENTER[0], attributes['lat'] - CENTER[1]


def diamond(lon: float, lat: float, size: float) -> list[tuple[float, float]]:
    return [(lon - size, lat), (lon, lat - size), (lon + size, lat), (lon, lat + size)]


def naive(
    items: list[StoreItem], query: np.ndarray, passes: Passes | None = None
) -> list[tuple[str, float]]:
    """Ids and scores of all items that pass, best first, of equal ones the smaller id first."""
    query = query.astype(np.float64)
    found = [
        (-float((item.embed.astype(np.float64) * query).sum()), item.id)
        for item in items
        if passes is None or passes(item.attributes)
    ]
    return [(item_id, -negative) for negative, item_id in sorted(found)]
