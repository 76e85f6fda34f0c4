"""Groups of equal objects and small areas: what an image is about or has beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from urbancross_mm.toy.world.geometry import (
    Outline,
    blob,
    ellipse,
    rectangle,
    slots,
    turn,
)
from urbancross_mm.toy.world.scene import Builder, Item

CARS = ('white', 'black', 'grey', 'red', 'blue')


@dataclass(frozen=True)
class GroupKind:
    """Size, colors and numbers of one kind of object.

    Args:
        kind (str): Item kind.
        size (tuple): Length and width in meters.
        colors (tuple): What it may be painted in.
        counts (tuple): How many stand together. Defaults to one.
        columns (int): How many stand side by side before the next row begins. Defaults to 3.
        height (float): In meters. Defaults to 0.0.
        round (bool): Ellipse instead of rectangle. Defaults to False.
        space (float): Distance between neighbors in lengths. Defaults to 1.25.
    """

    kind: str
    size: tuple[float, float]
    colors: tuple[str, ...]
    counts: tuple[int, ...] = (1,)
    columns: int = 3
    height: float = 0.0
    round: bool = False
    space: float = 1.25


GROUPS: dict[str, GroupKind] = {
    'storagetanks': GroupKind(
        'tank', (16, 16), ('white', 'grey', 'brown'), (1, 2, 3, 4, 5, 6, 8), height=8, round=True
    ),
    'tenniscourt': GroupKind(
        'court', (24, 13), ('green', 'blue', 'red'), (1, 2, 3, 4, 6), 2, space=1.15
    ),
    'industrial': GroupKind(
        'warehouse',
        (34, 22),
        ('grey', 'white', 'blue', 'red'),
        (1, 2, 3, 4),
        2,
        height=9,
        space=1.2,
    ),
    'baseballfield': GroupKind('diamond', (34, 34), ('brown', 'red'), (1, 2, 4), 2, space=1.12),
    'church': GroupKind('church', (34, 24), ('red', 'grey', 'brown'), height=14),
    'center': GroupKind(
        'dome', (40, 40), ('white', 'blue', 'grey', 'orange'), height=12, round=True
    ),
    'stadium': GroupKind(
        'stadium', (72, 58), ('white', 'grey', 'red', 'blue'), height=10, round=True
    ),
    'playground': GroupKind('track', (72, 46), ('red', 'blue', 'brown', 'green'), round=True),
    'resort': GroupKind('pool', (15, 8), ('blue',), (1, 2, 3, 4), 2, space=1.35),
}


def group(world: Builder, looks: GroupKind, zone: str, role: str, share: float) -> bool:
    """Add one group of equal objects in a zone; False, and no change, if the ground is taken."""
    rng = world.rng
    count = int(rng.choice(looks.counts))
    columns = min(count, looks.columns)
    rows = -(-count // columns)
    size = np.array(looks.size, float) * world.between(0.9, 1.1)
    span = max(columns * size[0], rows * size[1]) * looks.space
    size *= min(1.0, share * world.extent / span)
    angle = (
        world.between(-0.5, 0.5) if world.country.streets != 'grid' else world.between(-0.2, 0.2)
    )
    color = str(rng.choice(looks.colors))
    places = slots(count, columns, tuple(size * looks.space), world.point(zone), angle)
    items = [_item(looks, p, (float(size[0]), float(size[1])), angle, color, role) for p in places]
    fits = all(
        world.inside(i.outline) and not (world.taken & world.cells(i.outline)).any() for i in items
    )
    if fits:
        for item in items:
            world.add(item, gap=2.0)
    return fits


def _item(
    looks: GroupKind,
    center: Outline,
    size: tuple[float, float],
    angle: float,
    color: str,
    role: str,
) -> Item:
    shape = ellipse if looks.round else rectangle
    outline = _cross(center, size, angle) if looks.kind == 'church' else shape(center, size, angle)
    return Item(looks.kind, outline, color, angle, size, looks.height, role)


def _cross(center: Outline, size: tuple[float, float], angle: float) -> Outline:
    """Nave and transept of a church."""
    a, b, w = size[0] / 2, size[1] / 2, size[1] * 0.2
    points = np.array(
        [
            [-a, -w],
            [a * 0.1, -w],
            [a * 0.1, -b],
            [a * 0.55, -b],
            [a * 0.55, -w],
            [a, -w],
            [a, w],
            [a * 0.55, w],
            [a * 0.55, b],
            [a * 0.1, b],
            [a * 0.1, w],
            [-a, w],
        ]
    )
    return center + turn(points, angle)


def pond(world: Builder, zone: str, role: str, share: float) -> bool:
    """One pond, blue, green or brown."""
    size = (share * world.extent, share * world.extent * world.between(0.6, 0.85))
    outline = blob(world.point(zone), size, world.between(0, np.pi), world.rng)
    color = world.pick({'sea': 0.5, 'green': 0.3, 'brown': 0.2})
    return world.try_add(Item('pond', outline, color, size=size, role=role))


def forest(world: Builder, zone: str, role: str, share: float) -> bool:
    """One patch of wood."""
    size = (share * world.extent, share * world.extent * world.between(0.7, 0.95))
    outline = blob(world.point(zone), size, world.between(0, np.pi), world.rng, 0.2)
    return world.try_add(Item('forest', outline, 'canopy', size=size, height=4.0, role=role))


def car_park(world: Builder, zone: str, role: str, share: float) -> bool:
    """A paved lot with rows of cars, some places empty."""
    columns, rows = int(world.rng.integers(4, 7)), int(world.rng.integers(1, 4))
    pitch = min(3.4, share * world.extent / max(columns, 2.1 * rows))
    size = (columns * pitch + 2, rows * pitch * 2.1 + 1)
    angle, center = world.between(-0.3, 0.3), world.point(zone)
    if not world.try_add(
        Item('lot', rectangle(center, size, angle), 'paved', angle, size, role=role), gap=1.0
    ):
        return False
    for place in slots(columns * rows, columns, (pitch, pitch * 2.1), center, angle):
        if world.rng.random() < 0.72:
            car(world, place, angle + np.pi / 2, pitch / 3.4, role='parked')
    return True


def car(
    world: Builder, place: Outline, angle: float, scale: float = 1.0, role: str = 'context'
) -> None:
    """One car, wherever it stands."""
    size = (4.8 * scale, 2.2 * scale)
    world.add(
        Item(
            'car',
            rectangle(place, size, angle),
            str(world.rng.choice(CARS)),
            angle,
            size,
            1.5,
            role,
        ),
        block=False,
    )


Add = Callable[[Builder, str, str, float], bool]


def _group_of(kind: str) -> Add:
    return lambda world, zone, role, share: group(world, GROUPS[kind], zone, role, share)


SECONDS: dict[str, Add] = {
    'pond': pond,
    'forest': forest,
    'lot': car_park,
    **{kind: _group_of(kind) for kind in ('tenniscourt', 'playground', 'resort')},
}
