"""Street layouts: curved and sparse, a grid, or rays from a junction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from urbancross_mm.toy.world.geometry import Outline, ellipse, ribbon, turn
from urbancross_mm.toy.world.scene import Builder, Item

WIDTH = {'curved': 6.0, 'grid': 7.0, 'radial': 6.5}


def add_streets(world: Builder, amount: int) -> None:
    """Lay up to ``amount`` streets in the manner of the country, around what is already there."""
    if amount <= 0:
        return
    layout = world.country.streets
    before = world.taken.copy()
    paths = {'curved': _curved, 'grid': _grid, 'radial': _radial}[layout](world, amount)
    laid = [p for p in paths if _lay(world, before, p, WIDTH[layout])]
    if layout == 'radial' and len(laid) >= 3:
        node = laid[0][0]
        round_about = ellipse(node, (17.0, 17.0))
        if not (before & world.cells(round_about)).any():
            world.add(Item('roundabout', round_about, 'asphalt', size=(17.0, 17.0)))


def _lay(world: Builder, before: np.ndarray, path: Outline, width: float) -> bool:
    outline = ribbon(path, width)
    if (before & world.cells(ribbon(path, width + 3.0))).any():
        return False
    world.add(Item('road', outline, 'asphalt', size=(0.0, width), path=path))
    return True


def _blocked(world: Builder, path: Outline) -> bool:
    return bool((world.taken & world.cells(ribbon(path, 10.0))).any())


def _first_free(world: Builder, draw: Callable[[], Outline], tries: int = 8) -> list[Outline]:
    """The first of several drawn paths that hits nothing, as a list of one or none."""
    for _ in range(tries):
        path = draw()
        if not _blocked(world, path):
            return [path]
    return []


def across(
    world: Builder, angle: float, offset: float, bend: float = 0.0, waves: float = 1.0
) -> Outline:
    """A line through the whole image."""
    t = np.linspace(-0.8, 0.8, 33)
    sway = bend * np.sin(2 * np.pi * waves * t + world.between(0, 6.28)) if bend else 0.0 * t
    line = np.stack([t * world.extent, offset + sway], 1)
    return turn(line, angle) + world.extent / 2


def _curved(world: Builder, amount: int) -> list[Outline]:
    paths = []
    for _ in range(min(amount, 2)):
        paths += _first_free(
            world,
            lambda: across(
                world,
                world.between(0, np.pi),
                world.between(-0.4, 0.4) * world.extent,
                world.between(0.05, 0.1) * world.extent,
                world.between(0.6, 1.1),
            ),
        )
    return paths


def _grid(world: Builder, amount: int) -> list[Outline]:
    tilt = world.between(-0.25, 0.25)
    paths: list[Outline] = []
    for number in range(min(amount, 4)):
        angle = tilt + (np.pi / 2 if number % 2 else 0.0)
        low, high = ((-0.4, 0.4), (-0.4, 0.4), (-0.4, -0.12), (0.12, 0.4))[number]

        def street(angle: float = angle, low: float = low, high: float = high) -> Outline:
            return across(world, angle, world.between(low, high) * world.extent)

        paths += _first_free(world, street, tries=14)
    return paths


def _radial(world: Builder, amount: int) -> list[Outline]:
    best: list[Outline] = []
    for _ in range(6):
        node = world.rng.uniform(0.2, 0.8, 2) * world.extent
        rays = amount + 1
        angles = world.between(0, 6.28) + np.arange(rays) * (2 * np.pi / rays)
        angles += world.rng.uniform(-0.3, 0.3, rays)
        steps = np.linspace(0, 1.3 * world.extent, 25)[:, None]
        paths = [node + steps * np.array([np.cos(a), np.sin(a)]) for a in angles]
        free = [p for p in paths if not _blocked(world, p)]
        best = max(best, free, key=len)
        if len(best) == rays:
            break
    return best
