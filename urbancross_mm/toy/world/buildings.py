"""How buildings look from above."""

from __future__ import annotations

import numpy as np

from urbancross_mm.toy.world import textures as tx
from urbancross_mm.toy.world.canvas import Canvas
from urbancross_mm.toy.world.geometry import Outline, rectangle, turn
from urbancross_mm.toy.world.scene import Item


def house(canvas: Canvas, item: Item) -> None:
    """A house with the roof of its country."""
    {'gable': _gable, 'hip': _hip, 'flat': flat}[canvas.country.roof_shape](canvas, item)


def _facets(canvas: Canvas, item: Item, ridge: tuple[Outline, Outline]) -> None:
    """Roof planes between the eaves and the ridge, each lit by its direction."""
    a, b, c, d = item.outline
    left, right = ridge
    for facet in (
        [a, b, right, left],
        [b, c, right, right],
        [c, d, left, right],
        [d, a, left, left],
    ):
        eave = facet[1] - facet[0]
        outward = np.array([eave[1], -eave[0]]) / (np.linalg.norm(eave) + 1e-9)
        canvas.fill(
            np.array(facet), item.color, item.shade * (1.0 + 0.22 * float(outward @ canvas.lit))
        )


def _gable(canvas: Canvas, item: Item) -> None:
    a, b, c, d = item.outline
    _facets(canvas, item, ((a + d) / 2, (b + c) / 2))


def _hip(canvas: Canvas, item: Item) -> None:
    a, b, c, d = item.outline
    along = (b - a) / item.size[0] * (item.size[1] * 0.45)
    _facets(canvas, item, ((a + d) / 2 + along, (b + c) / 2 - along))


def flat(canvas: Canvas, item: Item) -> None:
    """A flat roof with a hut on it."""
    canvas.fill(item.outline, item.color, item.shade * 0.8)
    canvas.fill(item.inner(0.86), item.color, item.shade, tx.HARD)
    hut = item.center + turn(np.array([0.2, 0.1]) * item.size, item.angle)
    canvas.fill(rectangle(hut, (0.22 * item.size[0], 0.3 * item.size[1]), item.angle), 'pale', 0.9)


def warehouse(canvas: Canvas, item: Item) -> None:
    """A hall with seams across its roof."""
    canvas.fill(item.outline, item.color, item.shade, tx.HARD)
    for share in (-0.3, 0.0, 0.3):
        across = np.array([[share, -0.5], [share, 0.5]]) * item.size
        canvas.line(item.center + turn(across, item.angle), item.color, 0.8, 0.78)
    canvas.line(item.outline, item.color, 0.8, 0.7, closed=True)


def tank(canvas: Canvas, item: Item) -> None:
    """A round tank."""
    canvas.fill(item.outline, item.color, item.shade * 0.76)
    canvas.fill(item.inner(0.84, canvas.lit * 0.03 * item.size[0]), item.color, item.shade)
    canvas.fill(item.inner(0.16), item.color, 0.7)


def dome(canvas: Canvas, item: Item) -> None:
    """A dome, lit from one side."""
    for share, shade in ((1.0, 0.72), (0.86, 0.86), (0.62, 1.0), (0.34, 1.14)):
        shift = canvas.lit * (1 - share) * 0.18 * item.size[0]
        canvas.fill(item.inner(share, shift), item.color, shade * item.shade)
    for corner in item.outline[::4]:
        canvas.line(np.array([item.center, corner]), item.color, 0.4, 0.7)


def church(canvas: Canvas, item: Item) -> None:
    """A nave with a transept and a tower."""
    canvas.fill(item.outline, item.color, item.shade * 0.8)
    lit = [item.center + (p - item.center) * 0.96 for p in item.outline[:6]]
    canvas.fill(
        np.array(
            [
                *lit,
                item.outline[6] * 0.5 + item.outline[5] * 0.5,
                item.outline[0] * 0.5 + item.outline[-1] * 0.5,
            ]
        ),
        item.color,
        item.shade,
    )
    for start, stop in (((-0.5, 0), (0.5, 0)), ((0.16, -0.5), (0.16, 0.5))):
        ridge = np.array([start, stop]) * item.size
        canvas.line(item.center + turn(ridge, item.angle), item.color, 0.5, 0.6)
    tower = item.center + turn(np.array([-0.46, 0.0]) * item.size, item.angle)
    canvas.fill(rectangle(tower, (0.22 * item.size[1],) * 2, item.angle), 'pale')
