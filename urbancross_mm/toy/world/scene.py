"""The scene graph: what is in one image, where, and in which color."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from urbancross_mm.toy.world.countries import Country
from urbancross_mm.toy.world.geometry import Outline, grow, zone_of, zone_point

GRID = 128  # cells a side of the raster that tells free ground from taken ground


@dataclass
class Item:
    """One object on the ground.

    Args:
        kind (str): ``house``, ``tank``, ``road`` ...
        outline (Outline): Polygon ``(V, 2)`` in meters.
        color (str): Name in the palette of the country.
        angle (float): Direction of the long side in radians. Defaults to 0.0.
        size (tuple): Length and width in meters. Defaults to (0, 0).
        height (float): Throws a shadow if positive. Defaults to 0.0.
        role (str): ``focus`` (what the image is about), ``second`` or ``context``.
        shade (float): Brightness of this item. Defaults to 1.0.
        path (Outline): Center line of roads and rivers; of others, no point.
    """

    kind: str
    outline: Outline
    color: str
    angle: float = 0.0
    size: tuple[float, float] = (0.0, 0.0)
    height: float = 0.0
    role: str = 'context'
    shade: float = 1.0
    path: Outline = field(default_factory=lambda: np.empty((0, 2)))

    @property
    def center(self) -> Outline:
        """Mean of the vertices."""
        return self.outline.mean(0)

    def inner(self, share: float, shift: Outline | float = 0.0) -> Outline:
        """The outline shrunk towards its center."""
        return self.center + (self.outline - self.center) * share + shift


@dataclass
class Scene:
    """Everything in one image.

    Args:
        country (Country): The style it is drawn in.
        kind (str): Scene kind, also the class name of the precomp sets.
        seed (tuple[int, ...]): What the generators of this image are seeded with.
        ground (str): ``grass``, ``dry`` or ``soil``.
        roof (str): Commonest roof color.
        lon (float): Longitude of the center in degrees.
        lat (float): Latitude of the center in degrees.
        side (str): Where the sea lies, if there is any. Defaults to ''.
        items (list[Item]): In no special order.
    """

    country: Country
    kind: str
    seed: tuple[int, ...]
    ground: str
    roof: str
    lon: float
    lat: float
    side: str = ''
    items: list[Item] = field(default_factory=list)

    def select(
        self, kind: str | None = None, role: str | None = None, color: str | None = None
    ) -> list[Item]:
        """Items of a kind, role and color; None takes any."""
        return [
            i
            for i in self.items
            if kind in (None, i.kind) and role in (None, i.role) and color in (None, i.color)
        ]

    def zone(self, items: list[Item]) -> str:
        """The part of the image that the middle of ``items`` lies in."""
        return zone_of(np.mean([i.center for i in items], axis=0), self.country.extent)


class Builder:
    """Places items on one image so that no two overlap, unless asked to.

    Args:
        scene (Scene): Receives the items.
        rng (np.random.Generator): The only source of chance.
    """

    def __init__(self, scene: Scene, rng: np.random.Generator) -> None:
        self.scene = scene
        self.rng = rng
        self.country = scene.country
        self.extent = scene.country.extent
        self.taken = np.zeros((GRID, GRID), np.uint8)

    def pick(self, weights: dict[str, float]) -> str:
        """Draw a key with probability proportional to its weight."""
        names = list(weights)
        p = np.array([weights[n] for n in names], float)
        return names[int(self.rng.choice(len(names), p=p / p.sum()))]

    def between(self, low: float, high: float) -> float:
        """Draw a number uniformly."""
        return float(self.rng.uniform(low, high))

    def point(self, zone: str) -> Outline:
        """Draw a point in a zone."""
        return zone_point(zone, self.extent, self.rng)

    def cells(self, outline: Outline) -> np.ndarray:
        """Raster of the ground that an outline covers."""
        raster = np.zeros((GRID, GRID), np.uint8)
        points = np.round(outline * (GRID / self.extent * 16)).astype(np.int32)
        cv2.fillPoly(raster, [points], 1, shift=4)
        return raster

    def inside(self, outline: Outline, margin: float = 1.0) -> bool:
        """Whether an outline lies wholly in the image."""
        return bool(outline.min() >= margin and outline.max() <= self.extent - margin)

    def add(self, item: Item, block: bool = True, gap: float = 0.0) -> Item:
        """Put an item down whatever is there."""
        item.shade = self.between(0.94, 1.06)
        self.scene.items.append(item)
        if block:
            self.taken |= self.cells(grow(item.outline, gap) if gap else item.outline)
        return item

    def try_add(self, item: Item, gap: float = 0.0) -> bool:
        """Put an item down if it fits wholly inside the image on free ground."""
        if not self.inside(item.outline):
            return False
        if (self.taken & self.cells(grow(item.outline, gap))).any():
            return False
        self.add(item)
        return True

    def repeat(
        self, wanted: int, make: Callable[[], Item], gap: float = 0.0, tries: int = 8
    ) -> int:
        """Try to put down ``wanted`` items and return how many fitted."""
        done = 0
        for _ in range(wanted * tries):
            if done == wanted:
                break
            done += self.try_add(make(), gap)
        return done
