"""Surface textures: one tile a material, made once and cut at a random place for every image."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

SMOOTH, GROUND, CANOPY, WATER, SOIL, HARD = range(6)
SPARE = 64  # pixels that a tile is larger than an image, for the random cut


def _grain(rng: np.random.Generator, size: int, sigma: float) -> NDArray[np.float32]:
    """Smooth noise of unit variance with features about ``sigma`` pixels wide."""
    noise: np.ndarray = rng.standard_normal((size, size)).astype(np.float32)
    if sigma > 0.3:
        noise = cv2.GaussianBlur(noise, (0, 0), sigma)
    return noise / noise.std()


def _canopy(rng: np.random.Generator, size: int, radius: float) -> NDArray[np.float32]:
    """Crowns seen from above: dark gaps, lit tops."""
    tile = np.full((size, size), -26, np.float32)
    for x, y, r in rng.uniform(0, 1, (int(2.2 * (size / radius) ** 2 / 3.14), 3)):
        place, rim = np.array([x, y]) * size, radius * (0.6 + 0.6 * r)
        low = float(rng.uniform(-14, 4))
        cv2.circle(
            tile, tuple(np.round(place * 8).astype(int)), int(rim * 8), low, -1, cv2.LINE_8, 3
        )
        lit = place - rim * 0.25
        cv2.circle(
            tile, tuple(np.round(lit * 8).astype(int)), int(rim * 4.4), low + 18, -1, cv2.LINE_8, 3
        )
    return tile


@lru_cache(maxsize=8)
def texture_tiles(size: int, scale: float, crown: float) -> NDArray[np.float32]:
    """Gray-level offsets of every material."""
    rng = np.random.default_rng(20240414)
    full = size + SPARE
    fine, middle = _grain(rng, full, 0.8), _grain(rng, full, 2.0 * scale)
    coarse = _grain(rng, full, 9.0 * scale)
    tiles = np.zeros((6, full, full), np.float32)
    tiles[GROUND] = 4.5 * fine + 4.5 * middle + 7 * coarse
    tiles[CANOPY] = _canopy(rng, full, crown * scale) + 3 * fine
    tiles[WATER] = 1.2 * fine + 2.0 * middle + 2.5 * coarse
    tiles[SOIL] = 4 * fine + 3 * coarse
    tiles[HARD] = 3 * fine + 2 * middle
    return tiles
