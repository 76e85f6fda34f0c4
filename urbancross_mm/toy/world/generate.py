"""From a seed to a scene graph."""

from __future__ import annotations

import numpy as np

from urbancross_mm.toy.world.countries import Country
from urbancross_mm.toy.world.focus import add_focus
from urbancross_mm.toy.world.geometry import ZONES, Outline, ellipse, rectangle
from urbancross_mm.toy.world.objects import SECONDS, car
from urbancross_mm.toy.world.scene import Builder, Item, Scene
from urbancross_mm.toy.world.streets import add_streets

# Streets to try, houses to try and share of the usual number of trees, by scene kind.
PLANS: dict[str, tuple[int, tuple[int, int], float]] = {
    'airport': (0, (0, 0), 0.3),
    'baseballfield': (2, (0, 3), 1.0),
    'beach': (1, (0, 5), 0.6),
    'bridge': (0, (0, 6), 1.0),
    'center': (3, (0, 4), 0.8),
    'church': (2, (0, 8), 0.8),
    'denseresidential': (4, (14, 34), 0.5),
    'farmland': (1, (0, 0), 0.0),
    'forest': (1, (0, 0), 0.0),
    'industrial': (2, (0, 3), 0.3),
    'parking': (2, (0, 5), 0.6),
    'playground': (2, (0, 5), 0.9),
    'pond': (1, (0, 4), 1.2),
    'port': (1, (0, 3), 0.2),
    'resort': (1, (0, 4), 0.9),
    'river': (0, (0, 6), 1.2),
    'sparseresidential': (1, (2, 7), 1.3),
    'stadium': (2, (0, 3), 0.7),
    'storagetanks': (2, (0, 2), 0.4),
    'tenniscourt': (2, (0, 6), 1.0),
}
KINDS: tuple[str, ...] = tuple(sorted(PLANS))
NO_SECOND = ('airport', 'farmland', 'forest', 'port')


def build_scene(country: Country, seed: tuple[int, ...], kind: str | None = None) -> Scene:
    """Draw the scene graph of one image.

    Args:
        country (Country): Its style.
        seed (tuple[int, ...]): Equal seeds give equal scenes, whatever was built before.
        kind (str | None): One of ``KINDS``; None draws one with the frequencies of the country.

    Returns:
        Scene: The finished scene.

    Raises:
        ValueError: If there is no such kind.
    """
    rng = np.random.default_rng(seed)
    weights = {k: country.scenes.get(k, 1.0) for k in KINDS}
    p = np.array(list(weights.values()))
    drawn = KINDS[int(rng.choice(len(KINDS), p=p / p.sum()))]
    kind = drawn if kind is None else kind
    if kind not in PLANS:
        raise ValueError(f'unknown scene kind {kind!r}; there are {", ".join(KINDS)}')
    scene = Scene(country, kind, tuple(seed), ground='', roof='', lon=0.0, lat=0.0)
    world = Builder(scene, rng)
    _place(world)
    add_focus(world)
    if kind not in NO_SECOND and rng.random() < 0.6:
        _add_second(world)
    streets, houses, trees = PLANS[kind]
    add_streets(world, streets + int(rng.integers(0, 2)) if streets else 0)
    _add_houses(world, round(country.density * int(rng.integers(houses[0], houses[1] + 1))))
    _add_cars(world)
    _add_trees(world, trees)
    return scene


def _place(world: Builder) -> None:
    """Ground, commonest roof color and position on the globe."""
    scene, country = world.scene, world.country
    scene.ground = world.pick(dict(country.ground))
    scene.roof = world.pick(dict(country.roofs))
    west, south, east, north = country.box
    scene.lon = round(world.between(west, east), 6)
    scene.lat = round(world.between(south, north), 6)


def _add_second(world: Builder) -> None:
    """One more thing to tell images apart by, in another part than the focus."""
    rng = world.rng
    focus = {i.kind for i in world.scene.select(role='focus')}
    same = {
        world.scene.kind,
        'pond' if 'river' in focus else '',
        'lot' if world.scene.kind == 'parking' else '',
    }
    options = [k for k in SECONDS if k not in same]
    name = options[int(rng.integers(len(options)))]
    share = 0.3 if name in ('pond', 'forest') else 0.27
    for zone in rng.permutation(ZONES)[:6]:
        if SECONDS[name](world, str(zone), 'second', share):
            return


def _roof(world: Builder) -> str:
    return world.scene.roof if world.rng.random() < 0.85 else world.pick(dict(world.country.roofs))


def _house(world: Builder, center: Outline, angle: float) -> Item:
    low, high = world.country.house
    size = (world.between(low, high), world.between(low * 0.65, low * 0.95))
    return Item('house', rectangle(center, size, angle), _roof(world), angle, size, 5.0)


def _add_houses(world: Builder, wanted: int) -> None:
    """Along the streets where there are any, else anywhere."""
    roads = world.scene.select('road')
    rng, country = world.rng, world.country

    def make() -> Item:
        if not roads:
            return _house(world, rng.uniform(0.06, 0.94, 2) * world.extent, world.between(0, np.pi))
        road = roads[int(rng.integers(len(roads)))]
        step = int(rng.integers(1, len(road.path) - 1))
        along = road.path[step + 1] - road.path[step - 1]
        angle = float(np.arctan2(along[1], along[0]))
        deep = 2.5 if rng.random() < 0.6 else 4.6
        over = road.size[1] / 2 + country.gap * 0.6 + country.house[0] * deep / 4
        normal = np.array([-np.sin(angle), np.cos(angle)]) * (1 if rng.random() < 0.5 else -1)
        sway = world.between(-0.35, 0.35) if country.streets == 'curved' else 0.0
        shift = rng.uniform(-0.02, 0.02) * along / (np.linalg.norm(along) + 1e-9) * world.extent
        return _house(world, road.path[step] + normal * over + shift, angle + sway)

    world.repeat(wanted, make, gap=country.gap, tries=12)


def _add_cars(world: Builder) -> None:
    """Moving cars, in their lanes and apart from each other."""
    rng = world.rng
    placed: list[Outline] = []
    for road in world.scene.select('road'):
        for _ in range(int(rng.integers(0, 4))):
            step = int(rng.integers(1, len(road.path) - 1))
            along = road.path[step + 1] - road.path[step - 1]
            along = along / (np.linalg.norm(along) + 1e-9)
            lane = road.size[1] * 0.24 * (1 if rng.random() < 0.5 else -1)
            place = road.path[step] + np.array([-along[1], along[0]]) * lane
            near = any(np.linalg.norm(place - other) < 9 for other in placed)
            if not near and place.min() > 4 and place.max() < world.extent - 4:
                placed.append(place)
                car(world, place, float(np.arctan2(along[1], along[0])))


def _add_trees(world: Builder, share: float) -> None:
    """Single trees on free ground."""
    low, high = world.country.trees
    small, large = world.country.crown

    def make() -> Item:
        width = 2 * world.between(small, large)
        return Item(
            'tree',
            ellipse(
                world.rng.uniform(0.03, 0.97, 2) * world.extent, (width, width * 0.95), vertices=12
            ),
            'tree',
            size=(width, width),
            height=width * 0.8,
        )

    # A wide spread in number, so that "few trees" and "many trees" are both common.
    wanted = int(share * world.between(0, 1) ** 1.5 * (high * 1.3 - low) + share * low * 0.4)
    world.repeat(wanted, make, gap=0.3, tries=4)
