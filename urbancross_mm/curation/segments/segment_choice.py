"""Which masks of an image are worth keeping: pure decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from urbancross_mm.structures.segment_masks import Sidecar, encode_masks, stored_size

Segment = dict[str, Any]
WHITE = 255


def large_enough(
    segments: Sequence[Segment], area: float, image_size: Sequence[int]
) -> list[Segment]:
    """Leave out small masks.

    Args:
        segments (Sequence[dict]): With ``area`` in pixels of the image.
        area (float): Masks must be larger: pixels of the image, or below 1 a part of it.
        image_size (Sequence[int]): Height and width of the image.

    Returns:
        list[dict]: The others, in the same order.
    """
    least = area * image_size[0] * image_size[1] if area < 1 else area
    return [segment for segment in segments if segment['area'] > least]


def largest(segments: Sequence[Segment], count: int) -> list[Segment]:
    """Choose the masks that are worth scoring.

    Args:
        segments (Sequence[dict]): With ``area``.
        count (int): Most to keep.

    Returns:
        list[dict]: By falling area; equal ones stay in their order.
    """
    return sorted(segments, key=lambda segment: -segment['area'])[:count]


def best(segments: Sequence[Segment], scores: Sequence[float], count: int) -> list[int]:
    """Rank scored masks.

    Args:
        segments (Sequence[dict]): With ``area``.
        scores (Sequence[float]): One a segment.
        count (int): Most to keep.

    Returns:
        list[int]: Positions by falling score, equal ones by falling area, as they are loaded.
    """
    # Rounded as they are written: what is equal on disk must be ranked as equal.
    return sorted(
        range(len(segments)),
        key=lambda place: (-round(float(scores[place]), 6), -segments[place]['area']),
    )[:count]


def on_white(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A segment as the segment encoder sees it: the image, white outside the mask.

    Args:
        image (np.ndarray): uint8 RGB.
        mask (np.ndarray): Boolean, of the same aspect; the nearest of its pixels counts.

    Shape:
        - image, output: ``(H, W, 3)``; mask: ``(h, w)``.

    Returns:
        np.ndarray: uint8 RGB.
    """
    mask = _resized(mask, image.shape[:2], nearest=True)
    return np.where(mask[..., None], image, np.uint8(WHITE))


def make_sidecar(
    segments: Sequence[Segment],
    masks: np.ndarray,
    scores: Sequence[float],
    image_size: Sequence[int],
    size: int,
    source: str,
) -> Sidecar:
    """The segment file of the chosen masks.

    Args:
        segments (Sequence[dict]): As chosen, best first: area and box are taken from them, and
            their score as ``quality``.
        masks (np.ndarray): Theirs; one that vanishes at the stored size is left out.
        scores (Sequence[float]): Theirs.
        image_size (Sequence[int]): Height and width of the image.
        size (int): Bound for the longer side of the stored masks.
        source (str): What made the masks.

    Shape:
        - masks: ``(K, h, w)``.

    Returns:
        dict: See :func:`urbancross_mm.structures.segment_masks.encode_masks`.
    """
    small = stored_size(image_size, size)
    whole = encode_masks(np.zeros((0, *small), dtype=bool), [], image_size, source)
    for segment, mask, score in zip(segments, masks, scores):
        made = encode_masks(_resized(mask, small)[None], [score], image_size, source)
        whole['segments'] += [
            dict(one, area=segment['area'], bbox=segment['bbox'], quality=segment['score'])
            for one in made['segments']
        ]
    return whole


def _resized(mask: np.ndarray, size: tuple[int, int], nearest: bool = False) -> np.ndarray:
    """A mask of another size: by its nearest pixel, or where at least half of a pixel is covered"""
    import cv2

    if mask.shape == size:
        return mask
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_AREA
    return cv2.resize(mask.astype(np.float32), size[::-1], interpolation=how) >= 0.5
