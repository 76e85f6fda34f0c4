"""Exact segments of a rendering: sidecars, published segment images and masks of classes."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from urbancross_mm.datasets.rsitmd_ss import VALUE_STEP
from urbancross_mm.toy.world.render import Rendering
from urbancross_mm.toy.world.scene import Scene

# Kinds of items by the classes of RSITMD-SS; all others are background, class 0.
CLASS_OF = {
    'plane': 1,
    'boat': 2,
    'tank': 3,
    'pond': 4,
    'river': 5,
    'beach': 6,
    'track': 7,
    'pool': 8,
    'court': 9,
    'diamond': 10,
    'dome': 11,
    'church': 12,
    'stadium': 13,
    'bridge': 14,
}
# What covers the ground, with the classes, values and colors of the DroneDeploy masks.
COVER = {
    'building': (230, 25, 75),
    'clutter': (145, 30, 180),
    'vegetation': (60, 180, 75),
    'water': (245, 130, 48),
    'ground': (255, 255, 255),
    'car': (0, 130, 200),
}
COVER_OF = {
    **dict.fromkeys(('house', 'warehouse', 'church', 'dome', 'stadium', 'hotel'), 'building'),
    **dict.fromkeys(('tank', 'plane', 'boat', 'pier'), 'clutter'),
    **dict.fromkeys(('tree', 'forest', 'field'), 'vegetation'),
    **dict.fromkeys(('pond', 'river', 'sea', 'pool'), 'water'),
    'car': 'car',
}
SEGMENTS = 10
CANDIDATES = 50
SMALLEST = 12  # pixels of the smallest segment


class Segment(NamedTuple):
    """One item as a mask.

    Args:
        rank (int): Position by area among all candidates, the number in published file names.
        mask (NDArray): ``(H, W)`` bool.
        score (float): Agreement with the caption, in the range of CLIP similarities.
    """

    rank: int
    mask: NDArray[np.bool_]
    score: float


def segments_of(scene: Scene, rendering: Rendering) -> list[Segment]:
    """The best segments of an image, those that its caption speaks of before others.

    As published, the largest candidates are numbered by area and the best scored of them are
    kept, so that the numbers have gaps.
    """
    area = np.bincount(rendering.ids.ravel(), minlength=len(scene.items) + 1)
    order = [k for k in np.argsort(-area, kind='stable') if k and area[k] >= SMALLEST]
    share = {'focus': 0.29, 'second': 0.27, 'parked': 0.23}
    scored = []
    for rank, k in enumerate(order[:CANDIDATES]):
        item = scene.items[k - 1]
        base = share.get(item.role, 0.22 if item.kind == 'tree' else 0.25)
        score = base + 0.012 * np.sqrt(area[k] / rendering.ids.size) + 0.01 * (item.shade - 1)
        scored.append((round(float(score), 4), rank, k))
    scored.sort(key=lambda entry: (-entry[0], entry[1]))
    return [Segment(rank, rendering.ids == k, score) for score, rank, k in scored[:SEGMENTS]]


def sidecar(segments: list[Segment], size: int) -> dict[str, Any]:
    """The segment sidecar of one image."""
    from pycocotools import mask as coco

    entries = []
    for segment in segments:
        code = coco.encode(np.asfortranarray(segment.mask, np.uint8))
        entries.append(
            {
                'counts': code['counts'].decode('ascii'),
                'score': segment.score,
                'area': int(coco.area(code)),
                'bbox': [int(v) for v in coco.toBbox(code)],
            }
        )
    return {
        'image_size': [size, size],
        'size': [size, size],
        'source': 'exact',
        'segments': entries,
    }


def sidecar_text(segments: list[Segment], size: int) -> str:
    """The sidecar as JSON text."""
    return json.dumps(sidecar(segments, size), separators=(',', ':'))


def white_background(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The image with everything outside the mask painted white."""
    return np.where(mask[..., None], image, np.uint8(255))


def class_map(scene: Scene, rendering: Rendering) -> Image.Image:
    """Ten times the class index of every pixel, as RSITMD-SS stores it."""
    values = [CLASS_OF.get(item.kind, 0) * VALUE_STEP for item in scene.items]
    return Image.fromarray(np.array([0, *values], np.uint8)[rendering.ids])


def cover_map(scene: Scene, rendering: Rendering) -> Image.Image:
    """What covers the ground in every pixel, as a palette image: DroneDeploy's layout."""
    names = list(COVER)
    values = [names.index(COVER_OF.get(item.kind, 'ground')) for item in scene.items]
    image = Image.fromarray(np.array([names.index('ground'), *values], np.uint8)[rendering.ids])
    image.putpalette([part for color in COVER.values() for part in color])
    return image
