"""How each kind of item looks from above."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from urbancross_mm.toy.world import buildings
from urbancross_mm.toy.world import textures as tx
from urbancross_mm.toy.world.canvas import Canvas
from urbancross_mm.toy.world.geometry import ellipse, rectangle, turn
from urbancross_mm.toy.world.scene import Item


def draw_item(canvas: Canvas, item: Item) -> None:
    """Paint one item; kinds without a look of their own become a plain hard surface."""
    DRAW.get(item.kind, _plain)(canvas, item)


def _plain(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, item.color, item.shade, tx.HARD)


def _ground(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, item.color, item.shade, tx.GROUND)


def _canopy(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, item.color, item.shade, tx.CANOPY)


def _water(canvas: Canvas, item: Item) -> None:
    shade = 0.72 if item.color in ('green', 'brown') else 1.0
    canvas.fill(item.outline, item.color, shade, tx.WATER)
    canvas.line(item.outline, 'sand', 1.0, 0.8, closed=True)


def _field(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, item.color, item.shade, tx.SOIL)
    canvas.stripes(item.outline, item.angle + np.pi / 2, 0.03 * canvas.country.extent, 0.07)


def _road(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, item.color, 1.0, tx.HARD)
    if canvas.country.streets == 'curved':
        canvas.line(item.outline, 'soil', 0.7)
    else:
        for start in range(0, len(item.path) - 1, 2):
            canvas.line(item.path[start : start + 2], 'pale', 0.25)


def _runway(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, item.color, 0.85, tx.HARD)
    for start in range(0, len(item.path) - 1, 2):
        canvas.line(item.path[start : start + 2], 'pale', 0.012 * canvas.country.extent)


def _deck(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, item.color, 0.8, tx.HARD)
    canvas.line(item.outline, 'pale', 0.6, closed=True)
    canvas.line(item.path, 'asphalt', 0.55 * item.size[1])


def _roundabout(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, item.color, 1.0, tx.HARD)
    canvas.fill(item.inner(0.5), 'grass', 1.0, tx.GROUND)


def _court(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, item.color, item.shade * 0.84)
    canvas.fill(item.inner(0.78), item.color, item.shade * 1.12)
    canvas.line(item.inner(0.78), 'pale', 0.35, closed=True)
    net = np.array([[0, -0.42], [0, 0.42]]) * item.size
    canvas.line(item.center + turn(net, item.angle), 'pale', 0.3)


def _diamond(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, 'green', item.shade, tx.GROUND)
    corner, x, y = item.outline[0], *(item.outline[i] - item.outline[0] for i in (1, 3))
    t = np.linspace(0, np.pi / 2, 9)[:, None]
    fan = corner + 0.62 * (np.cos(t) * x + np.sin(t) * y)
    canvas.fill(np.concatenate([[corner], fan]), item.color, item.shade * 1.1)
    base = (
        corner
        + np.array([0.1, 0.42, 0.42, 0.1])[:, None] * x
        + np.array([0.1, 0.1, 0.42, 0.42])[:, None] * y
    )
    canvas.fill(base, 'green', item.shade * 1.05, tx.GROUND)
    canvas.line(np.array([corner + y, corner, corner + x]), 'pale', 0.35)


def _track(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, item.color, item.shade)
    canvas.line(item.inner(0.88), 'pale', 0.3, closed=True)
    canvas.fill(item.inner(0.72), 'grass', 0.98, tx.GROUND)
    pitch = np.array(item.size) * (0.42, 0.4)
    frame = rectangle(item.center, (float(pitch[0]), float(pitch[1])), item.angle)
    canvas.line(frame, 'pale', 0.4, closed=True)
    canvas.line(np.array([(frame[0] + frame[1]) / 2, (frame[2] + frame[3]) / 2]), 'pale', 0.4)


def _stadium(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, item.color, item.shade)
    canvas.line(item.inner(0.84), item.color, 0.6, 0.72, closed=True)
    canvas.fill(item.inner(0.68), 'asphalt', 0.8)
    canvas.fill(item.inner(0.56), 'green', 1.0, tx.GROUND)
    frame = rectangle(item.center, (item.size[0] * 0.36, item.size[1] * 0.3), item.angle)
    canvas.line(frame, 'pale', 0.4, closed=True)


def _pool(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, 'pale', 0.95)
    canvas.fill(item.inner(0.78), 'blue', 1.12)
    canvas.line(item.inner(0.78), 'blue', 0.3, 0.85, closed=True)


def _boat(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, item.color, item.shade)
    cabin = item.center + turn(np.array([-0.08, 0.0]) * item.size, item.angle)
    canvas.fill(rectangle(cabin, (0.3 * item.size[0], 0.5 * item.size[1]), item.angle), 'asphalt')


def _car(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, item.color, item.shade)
    canvas.fill(
        rectangle(item.center, (0.4 * item.size[0], 0.7 * item.size[1]), item.angle),
        item.color,
        0.6,
    )


def _lot(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, item.color, item.shade * 0.82, tx.HARD)
    canvas.line(item.outline, 'pale', 0.3, closed=True)


def _tree(canvas: Canvas, item: Item) -> None:
    canvas.fill(item.outline, item.color, item.shade * 0.8)
    radius = item.size[0] / 2
    top = item.center + canvas.lit * 0.25 * radius
    canvas.fill(
        ellipse(top, (1.2 * radius, 1.2 * radius), vertices=10), item.color, item.shade * 1.22
    )


DRAW: dict[str, Callable[[Canvas, Item], None]] = {
    'beach': _ground,
    'boat': _boat,
    'bridge': _deck,
    'car': _car,
    'church': buildings.church,
    'clearing': _ground,
    'court': _court,
    'diamond': _diamond,
    'dome': buildings.dome,
    'field': _field,
    'forest': _canopy,
    'hotel': buildings.flat,
    'house': buildings.house,
    'lot': _lot,
    'pond': _water,
    'pool': _pool,
    'river': _water,
    'road': _road,
    'roundabout': _roundabout,
    'runway': _runway,
    'sea': _water,
    'stadium': _stadium,
    'tank': buildings.tank,
    'track': _track,
    'tree': _tree,
    'warehouse': buildings.warehouse,
}
