"""What an image is about: one config a scene kind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from urbancross_mm.toy.world.geometry import (
    SIDES,
    ZONES,
    Outline,
    blob,
    cut,
    rectangle,
    ribbon,
    slots,
    turn,
)
from urbancross_mm.toy.world.objects import GROUPS, car_park, group, pond
from urbancross_mm.toy.world.scene import Builder, Item
from urbancross_mm.toy.world.streets import across


def add_focus(world: Builder) -> None:
    """Put down what the image is about, before anything else."""
    kind = world.scene.kind
    if kind in GROUPS:
        anywhere(world, lambda zone: group(world, GROUPS[kind], zone, 'focus', 0.44))
        if kind == 'resort':
            _hotel(world)
    elif kind in SPECIAL:
        SPECIAL[kind](world)


def anywhere(world: Builder, place: Callable[[str], bool]) -> None:
    """Try random zones; the center always has room on an empty image."""
    for zone in (*world.rng.choice(ZONES, 12), *['centre'] * 20):
        if place(str(zone)):
            return
    raise RuntimeError(f'no room for the focus of {world.scene.kind} {world.scene.seed}')


def _hotel(world: Builder) -> None:
    """A large flat building beside the pools."""
    size = (0.3 * world.extent, 0.13 * world.extent)
    world.repeat(
        1,
        lambda: Item(
            'hotel',
            rectangle(world.rng.uniform(0.2, 0.8, 2) * world.extent, size),
            'pale',
            size=size,
            height=12.0,
            role='context',
        ),
        gap=2.0,
        tries=20,
    )


def _sea(world: Builder, share: float) -> tuple[Outline, float]:
    """Water along one side of the image; returns the direction to it and the shore line."""
    world.scene.side = world.pick(dict.fromkeys(SIDES, 1.0))
    normal = np.array(SIDES[world.scene.side])
    shore = world.extent * (0.5 - share) + normal @ np.full(2, world.extent / 2)
    square = rectangle(np.full(2, world.extent / 2), (world.extent + 20, world.extent + 20))
    world.add(Item('sea', cut(square, -normal, -shore), 'sea', role='water'))
    return normal, shore


def _beach(world: Builder) -> None:
    normal, shore = _sea(world, world.between(0.3, 0.45))
    square = rectangle(np.full(2, world.extent / 2), (world.extent + 20, world.extent + 20))
    width = world.between(0.1, 0.17) * world.extent
    strip = cut(cut(square, normal, shore), -normal, width - shore)
    world.add(Item('beach', strip, 'sand', role='focus'))


def _port(world: Builder) -> None:
    normal, shore = _sea(world, world.between(0.45, 0.55))
    side = np.array([-normal[1], normal[0]])
    angle = float(np.arctan2(normal[1], normal[0]))
    count = int(world.rng.integers(2, 10))
    length = 0.36 * world.extent
    root = normal * shore + side * (side @ np.full(2, world.extent * world.between(0.4, 0.6)))
    world.add(
        Item(
            'pier',
            rectangle(root + normal * length / 2, (length, 4.0), angle),
            'paved',
            angle,
            (length, 4.0),
            1.5,
        ),
        block=False,
    )
    boat = np.array([0.085, 0.036]) * world.extent * world.between(0.85, 1.1)
    color = world.pick({'white': 0.5, 'red': 0.25, 'blue': 0.25})
    for number in range(count):
        along = shore + (number // 2 + 0.7) * length / 5
        over = (2.5 + boat[0] / 2) * (1 if number % 2 else -1)
        center = normal * along + side * (side @ root + over)
        shape = np.array([[-0.5, -0.5], [0.2, -0.5], [0.5, 0], [0.2, 0.5], [-0.5, 0.5]]) * boat
        turned = angle + (np.pi / 2 if number % 2 else -np.pi / 2)
        world.add(
            Item('boat', center + turn(shape, turned), color, turned, tuple(boat), 1.5, 'focus'),
            block=False,
        )


def _airport(world: Builder) -> None:
    e, flip = world.extent, 1 if world.rng.random() < 0.5 else -1
    tilt = world.between(-0.2, 0.2)
    line = across(world, tilt, flip * 0.3 * e)
    world.add(Item('runway', ribbon(line, 0.14 * e), 'asphalt', tilt, (0, 0.14 * e), path=line))
    shift = np.array([world.between(-0.08, 0.08), -flip * 0.1]) * e
    center = np.full(2, e / 2) + turn(shift, tilt)
    size = (0.8 * e, 0.42 * e)
    world.add(Item('apron', rectangle(center, size, tilt), 'paved', tilt, size))
    count = int(world.rng.integers(1, 7))
    color = world.pick({'white': 0.6, 'grey': 0.2, 'blue': 0.2})
    length = 0.19 * e
    for place in slots(count, 3, (length * 1.25, length * 1.05), center, tilt):
        world.add(
            Item(
                'plane',
                place + turn(_PLANE * length, tilt + flip * np.pi / 2),
                color,
                tilt + flip * np.pi / 2,
                (length, length),
                3.0,
                'focus',
            ),
            block=False,
        )


_HALF = np.array(
    [
        [0.5, 0],
        [0.42, 0.05],
        [0.12, 0.06],
        [-0.1, 0.46],
        [-0.2, 0.46],
        [-0.1, 0.06],
        [-0.36, 0.05],
        [-0.46, 0.18],
        [-0.5, 0.18],
        [-0.46, 0],
    ]
)
_PLANE = np.concatenate([_HALF, _HALF[-2:0:-1] * [1, -1]])


def _river(world: Builder) -> float:
    """Water across the image; returns its direction."""
    turned = world.pick({'0': 0.5, '1': 0.5}) == '1'
    angle = (np.pi / 2 if turned else 0.0) + world.between(-0.25, 0.25)
    bend = 0.0 if world.scene.kind == 'bridge' else world.between(0.06, 0.12) * world.extent
    path = across(world, angle, world.between(-0.12, 0.12) * world.extent, bend, 0.8)
    width = world.between(0.17, 0.26) * world.extent
    color = world.pick({'sea': 0.5, 'green': 0.3, 'brown': 0.2})
    world.add(
        Item('river', ribbon(path, width), color, angle, (0.0, width), role='focus', path=path)
    )
    return angle


def _bridge(world: Builder) -> None:
    angle = _river(world)
    count = int(world.rng.integers(1, 3))
    for number in range(count):
        offset = (0.0 if count == 1 else number - 0.5) * 0.45 + world.between(-0.08, 0.08)
        line = across(world, angle + np.pi / 2, offset * world.extent)
        world.add(
            Item(
                'bridge',
                ribbon(line, 0.075 * world.extent),
                'pale',
                angle + np.pi / 2,
                (0.0, 0.075 * world.extent),
                2.0,
                'focus',
                path=line,
            )
        )


def _farmland(world: Builder) -> None:
    """Parallel parcels over the whole image, neighbors never in one color."""
    angle, count = world.between(0, np.pi), int(world.rng.integers(2, 6))
    normal = np.array([np.cos(angle), np.sin(angle)])
    rest = rectangle(np.full(2, world.extent / 2), (world.extent + 20, world.extent + 20))
    middle, reach = normal @ np.full(2, world.extent / 2), world.extent * 0.5
    last = ''
    for number in range(count):
        edge = middle + reach * (2 * (number + 1) / count - 1 + world.between(-0.12, 0.12))
        parcel = cut(rest, normal, edge) if number < count - 1 else rest
        rest = cut(rest, -normal, -edge)
        colors = {'green': 0.4, 'yellow': 0.35, 'brown': 0.25}
        colors.pop(last, None)
        last = world.pick(colors)
        world.add(Item('field', parcel, last, angle, role='focus'), block=False)


def _forest(world: Builder) -> None:
    """Wood everywhere, with up to two clearings."""
    e = world.extent
    square = rectangle(np.full(2, e / 2), (e + 20, e + 20))
    world.add(Item('forest', square, 'canopy', size=(e, e), role='focus'), block=False)
    zones = world.rng.permutation(ZONES)
    for zone in zones[: int(world.rng.integers(0, 3))]:
        size = (world.between(0.2, 0.3) * e, world.between(0.16, 0.24) * e)
        outline = blob(world.point(str(zone)), size, world.between(0, 3), world.rng)
        world.try_add(Item('clearing', outline, world.scene.ground, size=size, role='focus'))


SPECIAL: dict[str, Callable[[Builder], object]] = {
    'beach': _beach,
    'port': _port,
    'airport': _airport,
    'bridge': _bridge,
    'river': _river,
    'farmland': _farmland,
    'forest': _forest,
    'pond': lambda world: anywhere(world, lambda zone: pond(world, zone, 'focus', 0.4)),
    'parking': lambda world: anywhere(world, lambda zone: car_park(world, zone, 'focus', 0.44)),
}
