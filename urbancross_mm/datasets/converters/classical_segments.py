"""Cheap segments for images without SAM masks: grid cells, or regions of one color."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from urbancross_mm.datasets.converters.classical_masks import color_masks, grid_masks
from urbancross_mm.datasets.converters.images import ImageFolder
from urbancross_mm.datasets.converters.segment_names import unfinished
from urbancross_mm.structures.segment_masks import encode_masks, stored_size, write_sidecar
from urbancross_mm.utils.images import read_image
from urbancross_mm.utils.progress import map_tracked


@dataclass
class Options:
    """What the command line decides.

    Attributes:
        images (Path): Folder of images, searched with its subfolders.
        out (Path): Folder for the sidecars.
        method (str): 'grid' or 'color'.
        num_segments (int): Most segments per image.
        size (int): Bound for the longer side of the stored masks.
        seed (int): Of the k-means starts; method 'grid' draws nothing.
        colors (int): Clusters of method 'color'.
        min_area (float): Regions below this part of the image are dropped by 'color'.
        skip_bad (bool): Leave out unreadable images, and count them.
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
    """Segment every image of a folder.

    Args:
        options (Options): See there.

    Returns:
        dict[str, int]: ``images``, ``segments``, ``kept`` (there before) and ``unreadable``.

    Raises:
        FileNotFoundError: If there is no such folder, or no image in it.
        ValueError: If the method is unknown, or an image cannot be decoded.
    """
    if options.method not in METHODS or options.num_segments < 1:
        raise ValueError(
            f'method must be one of {sorted(METHODS)} and num_segments at least 1, '
            f'got {options.method!r} and {options.num_segments}'
        )
    if min(options.size, options.colors) < 1 or not 0 <= options.min_area < 1:
        raise ValueError(
            'size and colors must be at least 1 and min_area in [0, 1), got '
            f'{options.size}, {options.colors} and {options.min_area}'
        )
    names = ImageFolder(options.images).names
    if not names:
        raise FileNotFoundError(f'no image in {options.images}')
    jobs = {options.out / Path(name).with_suffix('.json'): name for name in names}
    for name in names:
        other = jobs[options.out / Path(name).with_suffix('.json')]
        if other != name:
            raise ValueError(
                f'{name} and {other} in {options.images} would share one segment '
                'file: rename one of them'
            )
    todo = unfinished([(name, target) for target, name in jobs.items()], options.force)
    work = partial(_convert_image, options=options)
    counts = list(map_tracked(work, todo, options.method, options.workers))
    return dict(
        images=sum(count is not None for count in counts),
        segments=sum(count or 0 for count in counts),
        kept=len(names) - len(todo),
        unreadable=counts.count(None),
    )


def _convert_image(job: tuple[str, Path], options: Options) -> int | None:
    """Write the sidecar of one image; None if it cannot be decoded and may be skipped."""
    import cv2

    name, target = job
    try:
        image, size = read_image(str(options.images / name))
    except ValueError:
        if options.skip_bad:
            return None
        raise
    small = stored_size(size, options.size)
    if small != size:
        image = cv2.resize(image, small[::-1], interpolation=cv2.INTER_AREA)
    masks, scores = METHODS[options.method](image, options)
    write_sidecar(target, encode_masks(masks, scores.tolist(), size, options.method))
    return len(masks)


METHODS: dict[str, Callable[[np.ndarray, Options], tuple[np.ndarray, np.ndarray]]] = {
    'grid': lambda image, options: grid_masks(image, options.num_segments),
    'color': lambda image, options: color_masks(
        image, options.num_segments, options.colors, options.min_area, options.seed
    ),
}
