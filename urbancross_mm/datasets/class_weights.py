"""Weights of rare classes, from how many pixels each class has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from urbancross_mm.structures.annotations import load_annotations
from urbancross_mm.structures.class_maps import CLASS_PIXELS, pixels_of_values, read_checked_map
from urbancross_mm.utils.paths import safe_join
from urbancross_mm.utils.progress import map_tracked


def class_weights(pixels: Sequence[int], cap: float | None = None) -> list[float]:
    """Weights that make every class count as much as the most frequent one.

    Class c weighs ``max_k n_k / n_c``; a class without a pixel never occurs and weighs 0.

    Args:
        pixels (Sequence[int]): Pixels of each class, n.
        cap (float | None): Largest weight. Defaults to None.

    Returns:
        list[float]: A weight for each class.

    Raises:
        ValueError: If no class has a pixel, or the cap is below 1.

    Examples:
        >>> class_weights([80, 20, 0, 1], cap=50)
        [1.0, 4.0, 0.0, 50.0]
    """
    if cap is not None and cap < 1:
        raise ValueError(
            f'the most frequent class weighs 1, so the cap must be 1 or more, got {cap}'
        )
    if not any(pixels):
        raise ValueError(f'none of {len(pixels)} classes has a pixel')
    most = max(pixels)
    weights = [most / number if number else 0.0 for number in pixels]
    return [weight if cap is None else min(weight, float(cap)) for weight in weights]


def count_class_pixels(
    ann_file: str | Path, seg_maps: str | Path | None = None, workers: int = 1
) -> dict[str, int]:
    """Count the pixels of each class that an annotation file names.

    Args:
        ann_file (str | Path): Annotation file with ``classes``. Its ``class_pixels`` are taken if
            it has some.
        seg_maps (str | Path | None): Folder of the class maps, which are then read in any case.
            Defaults to None: ``seg_maps`` beside the folder of the annotations.
        workers (int): Threads. Defaults to 1.

    Returns:
        dict[str, int]: Pixels by class, in the order of the classes.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the file names no classes or no map, or a map has a value of no class.
    """
    metainfo, items = load_annotations(str(ann_file), captions_required=False)
    classes = metainfo.get('classes')
    if not classes:
        raise ValueError(
            f'{ann_file} names no classes: tools/dataset_converters/seg_maps.py writes them'
        )
    pixels = metainfo.get(CLASS_PIXELS)
    if pixels is None or seg_maps is not None:
        folder = Path(ann_file).absolute().parents[1] / 'seg_maps' if seg_maps is None else seg_maps
        paths = [safe_join(folder, name) for item in items if (name := item.get('seg_map_path'))]
        if not paths:
            raise ValueError(f'no image of {ann_file} has a class map')

        def count(path: str) -> np.ndarray:
            return pixels_of_values(read_checked_map(path, len(classes)))[: len(classes)]

        pixels = np.sum(list(map_tracked(count, paths, 'class maps', workers)), axis=0).tolist()
    if len(pixels) != len(classes):
        raise ValueError(f'{ann_file} has {len(classes)} classes and {len(pixels)} {CLASS_PIXELS}')
    return dict(zip(classes, pixels))
