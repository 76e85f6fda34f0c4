"""The class maps of RSITMD-SS: what its 15 classes are called, and how a file holds them."""

from __future__ import annotations

from typing import Any

# The map of image <stem>.tif is mask_<stem>.png, 8-bit gray; a pixel is ten times its class.
MASK_PREFIX = 'mask_'
VALUE_STEP = 10
_COLORS = {
    'Background': (0, 0, 0),
    'Plane': (255, 165, 0),
    'Boat': (0, 255, 255),
    'StorageTank': (255, 255, 0),
    'Pond': (0, 0, 205),
    'River': (30, 144, 255),
    'Beach': (255, 215, 0),
    'Playground': (107, 142, 35),
    'SwimmingPool': (65, 105, 225),
    'Court': (173, 255, 47),
    'BaseballField': (139, 117, 0),
    'Center': (255, 99, 71),
    'Church': (255, 255, 255),
    'Stadium': (255, 105, 180),
    'Bridge': (130, 130, 130),
}
METAINFO: dict[str, list[Any]] = dict(
    classes=list(_COLORS), palette=[list(color) for color in _COLORS.values()]
)
