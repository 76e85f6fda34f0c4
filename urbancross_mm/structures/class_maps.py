"""Class maps: the class of every pixel, and the classes that an annotation file names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from urbancross_mm.utils.images import read_class_map

# mm's label for pixels without a class.
IGNORE_INDEX = 255
# What the metainfo says of the classes; mmseg's names.
CLASS_KEYS = ('classes', 'palette')
# Pixels of each class in the training split.
CLASS_PIXELS = 'class_pixels'


def read_checked_map(path: str, num_classes: int | None = None) -> np.ndarray:
    """Read a class map and check its values.

    Args:
        path (str): The file.
        num_classes (int | None): How many classes there are; None checks nothing. Defaults to
            None.

    Shape:
        - output: ``(H, W)``.

    Returns:
        np.ndarray: uint8 class map; 255 is a pixel without a class.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no class map, or has a value of no class.
    """
    labels = read_class_map(path)
    if num_classes is not None:
        strange = np.flatnonzero(pixels_of_values(labels)[num_classes:IGNORE_INDEX])
        if len(strange):
            raise ValueError(
                f'class map {path} has the value {num_classes + int(strange[0])}: with '
                f'{num_classes} classes it must be below {num_classes}, or {IGNORE_INDEX} for no '
                'class (tools/dataset_converters/seg_maps.py makes maps of other values into such)'
            )
    return labels


def pixels_of_values(labels: np.ndarray) -> np.ndarray:
    """Count the pixels of every value.

    Args:
        labels (np.ndarray): uint8 class map.

    Returns:
        np.ndarray: ``(256,)`` counts.
    """
    return np.bincount(labels.ravel(), minlength=IGNORE_INDEX + 1)


def check_same_size(path: str, size: tuple[int, ...], img_path: str, of: tuple[int, ...]) -> None:
    """Refuse a class map of another size than its image, both (height, width).

    Args:
        path (str): The map.
        size (tuple[int, ...]): Its size.
        img_path (str): The image.
        of (tuple[int, ...]): Its size.

    Raises:
        ValueError: Naming both.
    """
    if tuple(size) != tuple(of):
        raise ValueError(
            f'class map {path} has {size[0]} x {size[1]} pixels, its image {img_path} has '
            f'{of[0]} x {of[1]}'
        )


def check_classes(metainfo: Mapping[str, Any], where: str) -> None:
    """Check what the metainfo says of the classes, if anything.

    Args:
        metainfo (Mapping): Of an annotation file.
        where (str): The file, for the message.

    Raises:
        ValueError: If ``classes`` is no list of distinct names, or ``palette`` no list of as many
            colors.
    """
    classes, palette = (metainfo.get(key) for key in CLASS_KEYS)
    if classes is not None and (
        not isinstance(classes, list)
        or not all(isinstance(name, str) and name for name in classes)
        or not 0 < len(set(classes)) == len(classes) <= IGNORE_INDEX
    ):
        raise ValueError(
            f"{where}, 'metainfo': 'classes' must be a list of 1 to {IGNORE_INDEX} distinct "
            f'names, got {classes!r:.80}'
        )
    if palette is not None and (
        not isinstance(palette, list)
        or not all(map(is_color, palette))
        or len(palette) != len(classes or ())
    ):
        raise ValueError(
            f"{where}, 'metainfo': 'palette' must be a list of one color [red, green, blue] for "
            f'each of {len(classes or ())} classes, got {palette!r:.80}'
        )


def is_color(value: Any) -> bool:
    """Whether a value of a JSON file is a color.

    Args:
        value (Any): The value.

    Returns:
        bool: True for a list ``[red, green, blue]`` of numbers from 0 to 255.
    """
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(type(part) is int and 0 <= part <= 255 for part in value)
    )
