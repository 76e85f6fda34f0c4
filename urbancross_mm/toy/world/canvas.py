"""An image under construction, addressed in meters."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from urbancross_mm.toy.world import textures
from urbancross_mm.toy.world.countries import Country
from urbancross_mm.toy.world.geometry import Outline

OVERSAMPLE = 2
SHIFT = 4  # fractional bits of the polygon corners


class Canvas:
    """Color, material and instance number of every pixel, at twice the finished resolution.

    Args:
        country (Country): Palette and finish.
        size (int): Width of the finished image in pixels.
        ground (str): Palette name that covers everything at first.
    """

    def __init__(self, country: Country, size: int, ground: str) -> None:
        self.country = country
        self.size = size
        self.width = size * OVERSAMPLE
        self.scale = self.width / country.extent
        self.color = np.full((self.width, self.width, 3), country.palette[ground], np.uint8)
        self.material = np.full((self.width, self.width), textures.GROUND, np.uint8)
        self.ids = np.zeros((self.width, self.width), np.uint16)

    @property
    def lit(self) -> Outline:
        """Unit vector towards the sun."""
        sun = np.array(self.country.sun)
        return -sun / np.linalg.norm(sun)

    def points(self, outline: Outline) -> NDArray[np.int32]:
        """Corners as fixed-point pixel coordinates; OpenCV's zero is the middle of a pixel."""
        return np.round((outline * self.scale - 0.5) * (1 << SHIFT)).astype(np.int32)

    def rgb(self, name: str, shade: float = 1.0) -> tuple[int, ...]:
        """A palette color, lighter or darker."""
        return tuple(int(min(255, v * shade)) for v in self.country.palette[name])

    def fill(
        self, outline: Outline, name: str, shade: float = 1.0, material: int = textures.SMOOTH
    ) -> None:
        """Paint a polygon."""
        points = [self.points(outline)]
        cv2.fillPoly(self.color, points, self.rgb(name, shade), shift=SHIFT)
        cv2.fillPoly(self.material, points, material, shift=SHIFT)

    def line(
        self, path: Outline, name: str, width: float, shade: float = 1.0, closed: bool = False
    ) -> None:
        """Paint a line ``width`` meters wide, one pixel at least."""
        cv2.polylines(
            self.color,
            [self.points(path)],
            closed,
            self.rgb(name, shade),
            max(1, round(width * self.scale)),
            cv2.LINE_AA,
            SHIFT,
        )

    def mark(self, outline: Outline, number: int) -> None:
        """Record which item covers these pixels."""
        cv2.fillPoly(self.ids, [self.points(outline)], number, shift=SHIFT)

    def stripes(self, outline: Outline, angle: float, pitch: float, depth: float) -> None:
        """Darken every other row of a field."""
        mask = np.zeros((self.width, self.width), np.uint8)
        cv2.fillPoly(mask, [self.points(outline)], 1, shift=SHIFT)
        y, x = np.nonzero(mask)
        phase = (x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / (pitch * self.scale))
        gain = 1 + depth * np.sin(phase)
        self.color[y, x] = np.minimum(self.color[y, x] * gain[:, None], 255).astype(np.uint8)

    def shadows(self, outlines: list[tuple[Outline, float]]) -> None:
        """Darken the ground behind items of the given heights."""
        if not outlines:
            return
        mask = np.zeros((self.width, self.width), np.uint8)
        for outline, height in outlines:
            here = self.points(outline)
            there = self.points(outline + np.array(self.country.sun) * height)
            parts = [np.concatenate([here, there])]
            if not cv2.isContourConvex(here):  # planes, churches: every edge sweeps its own part
                parts = [
                    np.concatenate([np.roll(here, -k, 0)[:2], np.roll(there, -k, 0)[:2]])
                    for k in range(len(here))
                ]
            for part in parts:
                cv2.fillConvexPoly(mask, cv2.convexHull(part), 1, shift=SHIFT)
        dark = mask.astype(bool)
        self.color[dark] = (self.color[dark] * 0.56).astype(np.uint8)

    def finish(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Add texture, optics, tone and sensor noise; returns the uint8 RGB image."""
        country = self.country
        tiles = textures.texture_tiles(self.width, self.scale, country.crown[1])
        top, left = rng.integers(0, textures.SPARE, 2)
        row, column = np.ogrid[top : top + self.width, left : left + self.width]
        image: np.ndarray = self.color + tiles[self.material, row, column][..., None]
        image = cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA)
        image = cv2.GaussianBlur(image, (0, 0), country.blur)
        light = float(rng.uniform(0.93, 1.07))
        image = ((image - 128) * country.contrast + 128) * (np.array(country.tint) * light)
        image += country.noise * rng.standard_normal(image.shape, np.float32)
        return np.clip(image, 0, 255).astype(np.uint8)
