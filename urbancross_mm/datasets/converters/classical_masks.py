"""Segments without a trained model: grid cells, or regions of one color."""

from __future__ import annotations

import numpy as np

# k-means works on at most this many pixels; every pixel is then given to the nearest center.
SAMPLE_SIDE = 64
# How much a step across the whole image weighs against one of 100 in Lab.
POSITION_WEIGHT = 40.0


def grid_masks(image: np.ndarray, num_segments: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut an image into cells.

    ``floor(sqrt(K))`` rows; the cells that do not divide evenly go to the last rows.

    Args:
        image (np.ndarray): uint8 RGB; only its size counts.
        num_segments (int): K.

    Shape:
        - image: ``(H, W, 3)``; masks: ``(K, H, W)``; scores: ``(K,)``.

    Returns:
        tuple[np.ndarray, np.ndarray]: Masks that cover the image without overlap, and as score
        the part of the image that each covers.
    """
    height, width = image.shape[:2]
    rows = min(int(num_segments**0.5), height)
    per_row = [num_segments // rows + (row >= rows - num_segments % rows) for row in range(rows)]
    edges = np.linspace(0, height, rows + 1).round().astype(int)
    masks = []
    for row, cells in enumerate(per_row):
        sides = np.linspace(0, width, cells + 1).round().astype(int)
        for left, right in zip(sides[:-1], sides[1:]):
            mask = np.zeros((height, width), dtype=bool)
            mask[edges[row] : edges[row + 1], left:right] = True
            masks.append(mask)
    stacked = np.stack(masks)
    return stacked, stacked.mean(axis=(1, 2))


def color_masks(
    image: np.ndarray, num_segments: int, colors: int = 8, min_area: float = 0.01, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Regions of one color: k-means in Lab and position, then connected components.

    Args:
        image (np.ndarray): uint8 RGB.
        num_segments (int): K, the most masks.
        colors (int): Clusters. Defaults to 8.
        min_area (float): Smallest region as part of the image. Defaults to 0.01.
        seed (int): Of the k-means starts. Defaults to 0.

    Shape:
        - image: ``(H, W, 3)``; masks: ``(k, H, W)``; scores: ``(k,)``, ``k <= K``.

    Returns:
        tuple[np.ndarray, np.ndarray]: Masks without overlap by falling score. The score is the
        part of the image a region covers times the part of its box that it fills, so large
        compact regions come first.
    """
    import cv2

    labels = _cluster(image, colors, seed)
    total = labels.size
    regions = []
    for cluster in range(int(labels.max()) + 1):
        _, parts, stats, _ = cv2.connectedComponentsWithStats((labels == cluster).astype(np.uint8))
        for part in range(1, len(stats)):
            area = int(stats[part, cv2.CC_STAT_AREA])
            box = int(stats[part, cv2.CC_STAT_WIDTH]) * int(stats[part, cv2.CC_STAT_HEIGHT])
            if area >= min_area * total:
                regions.append((area / total * area / box, parts == part))
    regions.sort(key=lambda region: -region[0])
    best = regions[:num_segments]
    masks = np.array([mask for _, mask in best], dtype=bool).reshape(-1, *labels.shape)
    return masks, np.array([score for score, _ in best])


def _cluster(image: np.ndarray, colors: int, seed: int) -> np.ndarray:
    """Cluster of every pixel ``(H, W)`` uint8, single pixels smoothed away."""
    import cv2

    smooth = cv2.medianBlur(image, 5)
    features = _features(smooth)
    step = max(1, -(-max(image.shape[:2]) // SAMPLE_SIDE))
    sample = np.ascontiguousarray(features[::step, ::step].reshape(-1, 5))
    cv2.setRNGSeed(seed)  # of this thread, so the order of the images does not matter
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    labels = np.empty((len(sample), 1), dtype=np.int32)
    _, _, centers = cv2.kmeans(
        sample, min(colors, len(sample)), labels, criteria, 1, cv2.KMEANS_PP_CENTERS
    )
    centers = np.asarray(centers)
    flat = features.reshape(-1, 5)
    # |f - c|^2 without the |f|^2 that all centers share.
    nearest = ((centers**2).sum(axis=1) - 2 * flat @ centers.T).argmin(axis=1)
    return cv2.medianBlur(nearest.reshape(image.shape[:2]).astype(np.uint8), 5)


def _features(image: np.ndarray) -> np.ndarray:
    """Lab color and weighted position of every pixel, ``(H, W, 5)`` float32."""
    import cv2

    height, width = image.shape[:2]
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    down, across = np.mgrid[:height, :width].astype(np.float32) / max(height, width)
    return np.dstack([lab, POSITION_WEIGHT * down, POSITION_WEIGHT * across])
