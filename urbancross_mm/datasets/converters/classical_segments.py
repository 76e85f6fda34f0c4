"""Cheap segments for pictures without SAM masks: grid cells, or regions of one colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from urbancross_mm.datasets.converters.pictures import PictureFolder
from urbancross_mm.datasets.converters.segment_names import unfinished
from urbancross_mm.datasets.converters.segments import encode_masks, stored_size, write_sidecar
from urbancross_mm.datasets.transforms.loading import read_image
from urbancross_mm.utils.progress import map_tracked

# k-means works on at most this many pixels; every pixel is then given to the nearest centre.
SAMPLE_SIDE = 64
# How much a step across the whole picture weighs against one of 100 in Lab.
POSITION_WEIGHT = 40.0


@dataclass
class Options:
    """What the command line decides.

    Attributes:
        images (Path): Folder of pictures, searched with its subfolders.
        out (Path): Folder for the sidecars.
        method (str): 'grid' or 'color'.
        num_segments (int): Most segments a picture.
        size (int): Bound for the longer side of the stored masks.
        seed (int): Of the k-means starts; method 'grid' draws nothing.
        colors (int): Clusters of method 'color'.
        min_area (float): Regions below this part of the picture are dropped by 'color'.
        skip_bad (bool): Leave out unreadable pictures, and count them.
        workers (int): Threads.
        force (bool): Make files again that exist; else they are kept.
    """

    images: Path
    out: Path
    method: str = 'color'
    num_segments: int = 10
    size: int = 256
    seed: int = 0
    colors: int = 8
    min_area: float = 0.01
    skip_bad: bool = False
    workers: int = 1
    force: bool = False


def convert(options: Options) -> dict[str, int]:
    """Segment every picture of a folder.

    Args:
        options (Options): See there.

    Returns:
        dict[str, int]: ``pictures``, ``segments``, ``kept`` (there before) and ``unreadable``.

    Raises:
        FileNotFoundError: If there is no such folder, or no picture in it.
        ValueError: If the method is unknown, or a picture cannot be decoded.
    """
    if options.method not in METHODS or options.num_segments < 1:
        raise ValueError(f'method must be one of {sorted(METHODS)} and num_segments at least 1, '
                         f'got {options.method!r} and {options.num_segments}')
    names = PictureFolder(options.images).names
    if not names:
        raise FileNotFoundError(f'no picture in {options.images}')
    todo = unfinished([(name, options.out / Path(name).with_suffix('.json')) for name in names],
                      options.force)
    work = partial(_convert_picture, options=options)
    counts = list(map_tracked(work, todo, options.method, options.workers))
    return dict(pictures=sum(count is not None for count in counts),
                segments=sum(count or 0 for count in counts), kept=len(names) - len(todo),
                unreadable=counts.count(None))


def grid_masks(picture: np.ndarray, num_segments: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut a picture into cells.

    ``floor(sqrt(K))`` rows; the cells that do not divide evenly go to the last rows.

    Args:
        picture (np.ndarray): uint8 RGB; only its size counts.
        num_segments (int): K.

    Shape:
        - picture: ``(H, W, 3)``; masks: ``(K, H, W)``; scores: ``(K,)``.

    Returns:
        tuple[np.ndarray, np.ndarray]: Masks that cover the picture without overlap, and as score
        the part of the picture that each covers.
    """
    height, width = picture.shape[:2]
    rows = min(int(num_segments ** 0.5), height)
    per_row = [num_segments // rows + (row >= rows - num_segments % rows) for row in range(rows)]
    edges = np.linspace(0, height, rows + 1).round().astype(int)
    masks = []
    for row, cells in enumerate(per_row):
        sides = np.linspace(0, width, cells + 1).round().astype(int)
        for left, right in zip(sides[:-1], sides[1:]):
            mask = np.zeros((height, width), dtype=bool)
            mask[edges[row]:edges[row + 1], left:right] = True
            masks.append(mask)
    stacked = np.stack(masks)
    return stacked, stacked.mean(axis=(1, 2))


def color_masks(picture: np.ndarray, num_segments: int, colors: int = 8, min_area: float = 0.01,
                seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Regions of one colour: k-means in Lab and position, then connected components.

    Args:
        picture (np.ndarray): uint8 RGB.
        num_segments (int): K, the most masks.
        colors (int): Clusters. Defaults to 8.
        min_area (float): Smallest region as part of the picture. Defaults to 0.01.
        seed (int): Of the k-means starts. Defaults to 0.

    Shape:
        - picture: ``(H, W, 3)``; masks: ``(k, H, W)``; scores: ``(k,)``, ``k <= K``.

    Returns:
        tuple[np.ndarray, np.ndarray]: Masks without overlap by falling score. The score is the
        part of the picture a region covers times the part of its box that it fills, so large
        compact regions come first.
    """
    import cv2

    labels = _cluster(picture, colors, seed)
    total = labels.size
    found = []
    for cluster in range(int(labels.max()) + 1):
        _, parts, stats, _ = cv2.connectedComponentsWithStats((labels == cluster).astype(np.uint8))
        for part in range(1, len(stats)):
            area = int(stats[part, cv2.CC_STAT_AREA])
            box = int(stats[part, cv2.CC_STAT_WIDTH]) * int(stats[part, cv2.CC_STAT_HEIGHT])
            if area >= min_area * total:
                found.append((area / total * area / box, parts == part))
    found.sort(key=lambda one: -one[0])
    best = found[:num_segments]
    masks = np.array([mask for _, mask in best], dtype=bool).reshape(-1, *labels.shape)
    return masks, np.array([score for score, _ in best])


def _cluster(picture: np.ndarray, colors: int, seed: int) -> np.ndarray:
    """Cluster of every pixel ``(H, W)`` uint8, single pixels smoothed away."""
    import cv2

    smooth = cv2.medianBlur(picture, 5)
    features = _features(smooth)
    step = max(1, -(-max(picture.shape[:2]) // SAMPLE_SIDE))
    sample = np.ascontiguousarray(features[::step, ::step].reshape(-1, 5))
    cv2.setRNGSeed(seed)  # of this thread, so the order of the pictures does not matter
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    _, _, centres = cv2.kmeans(sample, min(colors, len(sample)), None, criteria, 1,
                               cv2.KMEANS_PP_CENTERS)
    flat = features.reshape(-1, 5)
    # |f - c|^2 without the |f|^2 that all centres share.
    nearest = ((centres ** 2).sum(axis=1) - 2 * flat @ centres.T).argmin(axis=1)
    return cv2.medianBlur(nearest.reshape(picture.shape[:2]).astype(np.uint8), 5)


def _features(picture: np.ndarray) -> np.ndarray:
    """Lab colour and weighted position of every pixel, ``(H, W, 5)`` float32."""
    import cv2

    height, width = picture.shape[:2]
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    down, across = np.mgrid[:height, :width].astype(np.float32) / max(height, width)
    return np.dstack([lab, POSITION_WEIGHT * down, POSITION_WEIGHT * across])


def _convert_picture(job: tuple[str, Path], options: Options) -> int | None:
    """Write the sidecar of one picture; None if it cannot be decoded and may be skipped."""
    import cv2

    name, target = job
    try:
        picture, size = read_image(str(options.images / name))
    except ValueError:
        if options.skip_bad:
            return None
        raise
    small = stored_size(size, options.size)
    if small != size:
        picture = cv2.resize(picture, small[::-1], interpolation=cv2.INTER_AREA)
    masks, scores = METHODS[options.method](picture, options)
    write_sidecar(target, encode_masks(masks, scores, size, options.method))
    return len(masks)


METHODS: dict[str, Callable[[np.ndarray, Options], tuple[np.ndarray, np.ndarray]]] = {
    'grid': lambda picture, options: grid_masks(picture, options.num_segments),
    'color': lambda picture, options: color_masks(
        picture, options.num_segments, options.colors, options.min_area, options.seed),
}
