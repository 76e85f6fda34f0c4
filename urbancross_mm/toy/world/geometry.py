"""Outlines in meters: x runs east, y runs south, the image is the square from 0 to extent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float64]

ZONES = (
    'north-west',
    'north',
    'north-east',
    'west',
    'centre',
    'east',
    'south-west',
    'south',
    'south-east',
)
SIDES = {'north': (0.0, -1.0), 'east': (1.0, 0.0), 'south': (0.0, 1.0), 'west': (-1.0, 0.0)}


def turn(points: Outline, angle: float) -> Outline:
    """Rotate points about the origin by ``angle`` radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def rectangle(center: Outline, size: tuple[float, float], angle: float = 0.0) -> Outline:
    """Four corners of a turned rectangle, the first side along its length."""
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * np.asarray(size)
    return center + turn(corners, angle)


def ellipse(
    center: Outline, size: tuple[float, float], angle: float = 0.0, vertices: int = 28
) -> Outline:
    """A turned ellipse of the given full width and height."""
    t = np.arange(vertices) * (2 * np.pi / vertices)
    return center + turn(np.stack([np.cos(t), np.sin(t)], 1) * np.asarray(size) / 2, angle)


def blob(
    center: Outline,
    size: tuple[float, float],
    angle: float,
    rng: np.random.Generator,
    rough: float = 0.14,
    vertices: int = 36,
) -> Outline:
    """An ellipse with a wavy rim: ponds and woods."""
    t = np.arange(vertices) * (2 * np.pi / vertices)
    radius = np.ones(vertices)
    for wave in (2, 3, 5):
        radius += rough / wave**0.5 * rng.uniform(-1, 1) * np.cos(wave * t + rng.uniform(0, 6.28))
    rim = np.stack([np.cos(t), np.sin(t)], 1) * radius[:, None] * np.asarray(size) / 2
    return center + turn(rim, angle)


def ribbon(path: Outline, width: float) -> Outline:
    """The polygon that a line of the given width covers."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    side = np.stack([-along[:, 1], along[:, 0]], 1) * (width / 2)
    return np.concatenate([path + side, (path - side)[::-1]])


def cut(outline: Outline, normal: Outline, offset: float) -> Outline:
    """Keep the part of a convex polygon where ``p @ normal <= offset``."""
    distance = outline @ normal - offset
    kept = []
    for i in range(len(outline)):
        j = (i + 1) % len(outline)
        if distance[i] <= 0:
            kept.append(outline[i])
        if (distance[i] < 0) != (distance[j] < 0):
            share = distance[i] / (distance[i] - distance[j])
            kept.append(outline[i] + share * (outline[j] - outline[i]))
    return np.array(kept).reshape(-1, 2)


def grow(outline: Outline, gap: float) -> Outline:
    """Move every vertex away from the center by about ``gap`` meters."""
    center = outline.mean(0)
    rays = outline - center
    return center + rays * (1 + gap / (np.linalg.norm(rays, axis=1, keepdims=True) + 1e-9))


def slots(
    count: int, columns: int, pitch: tuple[float, float], center: Outline, angle: float
) -> Outline:
    """``count`` grid positions, row by row, centered on ``center``."""
    index = np.arange(count)
    rows = -(-count // columns)
    grid = np.stack(
        [index % columns - (min(columns, count) - 1) / 2, index // columns - (rows - 1) / 2], 1
    )
    return center + turn(grid * np.asarray(pitch), angle)


def zone_of(point: Outline, extent: float) -> str:
    """Name the part of the image that a point lies in: ``north-west`` to ``south-east``."""
    column, row = (int(v > 0.375) + int(v > 0.625) for v in np.asarray(point) / extent)
    return ZONES[3 * row + column]


def zone_point(zone: str, extent: float, rng: np.random.Generator) -> Outline:
    """A random point well inside a zone, at least 0.2 extent away from every border."""
    row, column = divmod(ZONES.index(zone), 3)
    base = np.array([0.27 + 0.23 * column, 0.27 + 0.23 * row])
    return (base + rng.uniform(-0.04, 0.04, 2)) * extent
