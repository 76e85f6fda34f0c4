"""Random items and filters, and what numpy says about them."""

from __future__ import annotations

import numpy as np

from urbancross_mm.inference.stores import StoreItem
from urbancross_mm.structures.filters import Filter

WIDTH = 16
FILTERS = [
    ['country=spain'],
    ['country=spain|finland'],
    ['country!=spain'],
    ['gsd<=0.5'],
    ['gsd=0.3..0.5'],
    ['gsd!=0.5'],
    ['zone=07'],
    ['zone=7|x'],
    ['zone>5'],
    ['zone!=7'],
    ['zone!=true'],
    ['zone=true'],
    ['zone=true|x'],
    ['date=2020-01..2020-06'],
    ['date>2020-06'],
    ['date=2020'],
    ['date=2020-03|2021'],
    ['date!=2020'],
    ['tags=harbor|river'],
    ['tags=harbor+river'],
    ['classes[]=a+b'],
    ['classes[]=c'],
    ['bbox=0,0,10,10'],
    ['bbox=170,-10,-170,10'],
    ['near=0,0,900000'],
    ['near=179.9,0,2000000'],
    ['near=0,89.9,3000000'],
    ['polygon=POLYGON((0 0, 60 0, 60 60, 0 60, 0 0), (10 10, 40 10, 40 40, 10 40, 10 10))'],
    [
        'polygon=MULTIPOLYGON(((170 -20, 180 -20, 180 20, 170 20, 170 -20)), '
        '((-180 -20, -170 -20, -170 20, -180 20, -180 -20)))'
    ],
    ['country=spain', 'tags=harbor', 'near=0,0,5000000'],
    ['stamp=1'],
    ['stamp!=1'],
    ['"we\'ird.na`me"="it\'s"'],
    ['rare=1'],
]


def make_items(count: int, seed: int = 0, start: int = 0) -> list[StoreItem]:
    """Items around some directions, with attributes of all types, some of them missing."""
    draw = np.random.default_rng(seed)
    centers = draw.normal(size=(40, WIDTH))
    embeds = centers[draw.integers(0, 40, count)] + draw.normal(size=(count, WIDTH))
    embeds /= np.linalg.norm(embeds, axis=1, keepdims=True)
    return [
        StoreItem(f'images/{start + i:06d}.jpg', embeds[i].astype(np.float32), _attributes(i, draw))
        for i in range(count)
    ]


def _attributes(number: int, draw: np.random.Generator) -> dict[str, object]:
    zones = [7, 7.0, 7.5, '07', '7', 'x', True, False, [7], {'a': 1}, None, -3, '']
    everything = dict(
        lon=float(draw.uniform(-180, 180)),
        lat=float(draw.uniform(-90, 90)),
        country=str(draw.choice(['spain', 'germany', 'finland', 'Spain', 'españa'])),
        gsd=[0.1, 0.3, 0.4, 0.5, 1][draw.integers(5)],
        zone=zones[draw.integers(len(zones))],
        date=['2020', '2020-03', '2020-06-30', '2020-06-30T10:00:00Z', '2021-01-01', 2020][
            draw.integers(6)
        ],
        tags=[str(t) for t in draw.choice(['harbor', 'river', "o'k"], draw.integers(0, 4))],
        classes=['a', 'b', 1, None][: draw.integers(5)],
        bounds=[1.5, 2.5, 3.5, 4.5],
        window=[0, 0, 8, 8],
        stamp=dict(size=5, hash='x'),
    )
    everything["we'ird.na`me"] = str(draw.choice(["it's", '"', '%s', '\\']))
    if number % 1000 == 7:
        everything['rare'] = 1
    return {name: value for name, value in everything.items() if draw.random() > 0.15}


def mask_of(items: list[StoreItem], where: Filter | None) -> np.ndarray:
    """Which items pass."""
    if where is None:
        return np.ones(len(items), bool)
    names = {name for item in items for name in item.attributes}
    columns = {name: [item.attributes.get(name) for item in items] for name in names}
    return where.matches(columns, len(items))


def best(items: list[StoreItem], vector: np.ndarray, where: Filter | None, topk: int) -> list[str]:
    """Ids of the best items."""
    passing = [item for item, passes in zip(items, mask_of(items, where)) if passes]
    scores = [float(np.dot(item.embed.astype(float), vector)) for item in passing]
    order = sorted(range(len(passing)), key=lambda row: (-scores[row], passing[row].id))
    return [passing[row].id for row in order[:topk]]
