"""From a scene graph to an image and the instance number of each of its pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from urbancross_mm.toy.world.canvas import OVERSAMPLE, Canvas
from urbancross_mm.toy.world.draw import draw_item
from urbancross_mm.toy.world.scene import Scene

LAYERS: tuple[tuple[str, ...], ...] = (
    ('field', 'sea'),
    ('forest', 'beach'),
    ('clearing', 'pond', 'river', 'road', 'runway'),
    ('apron', 'lot', 'roundabout', 'bridge', 'court', 'diamond', 'track', 'pool', 'pier'),
    ('house', 'warehouse', 'tank', 'church', 'dome', 'stadium', 'hotel', 'car', 'plane', 'boat'),
    ('tree',),
)


class Rendering(NamedTuple):
    """An image and its exact instance map.

    Shape:
        - image: ``(size, size, 3)`` uint8 RGB
        - ids: ``(size, size)`` uint16; 0 is bare ground, ``k`` is ``scene.items[k - 1]``
    """

    image: NDArray[np.uint8]
    ids: NDArray[np.uint16]


def render(scene: Scene, size: int = 128) -> Rendering:
    """Draw a scene.

    Args:
        scene (Scene): What to draw.
        size (int): Width and height in pixels. Defaults to 128.

    Returns:
        Rendering: The image and its instance map.
    """
    canvas = Canvas(scene.country, size, scene.ground)
    order = {kind: layer for layer, kinds in enumerate(LAYERS) for kind in kinds}
    numbered = [(order[item.kind], number + 1, item) for number, item in enumerate(scene.items)]
    for layer in range(len(LAYERS)):
        here = [(number, item) for level, number, item in numbered if level == layer]
        canvas.shadows([(item.outline, item.height) for _, item in here if item.height])
        for number, item in here:
            draw_item(canvas, item)
            canvas.mark(item.outline, number)
    image = canvas.finish(np.random.default_rng((*scene.seed, 1)))
    return Rendering(image, np.ascontiguousarray(canvas.ids[::OVERSAMPLE, ::OVERSAMPLE]))
