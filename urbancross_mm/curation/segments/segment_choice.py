"""Choosing and storing the masks of an image: pure functions."""

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
    """Masks larger than ``area``: a number of pixels or, below 1, a share of the image."""
    least = area * image_size[0] * image_size[1] if area < 1 else area
    return [segment for segment in segments if segment['area'] > least]


def largest(segments: Sequence[Segment], count: int) -> list[Segment]:
    """The largest masks; equal ones stay in order."""
    return sorted(segments, key=lambda segment: -segment['area'])[:count]


def best(segments: Sequence[Segment], scores: Sequence[float], count: int) -> list[int]:
    """Indices by falling score, then by falling area, as they are loaded."""
    # Rounded as on disk: scores that are equal there must be ranked as equal.
    return sorted(
        range(len(segments)),
        key=lambda index: (-round(float(scores[index]), 6), -segments[index]['area']),
    )[:count]


def on_white(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A segment as the segment encoder sees it: the image, white outside the mask.

    The mask may be smaller.

    Shape:
        - image, output: ``(H, W, 3)``; mask: ``(h, w)``.
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
    """The segment file of the chosen masks, best first.

    A mask that vanishes at the stored ``size`` is left out. ``quality`` is the score of the
    segmenter.

    Shape:
        - masks: ``(K, h, w)``.
    """
    small = stored_size(image_size, size)
    whole = encode_masks(np.zeros((0, *small), dtype=bool), [], image_size, source)
    for segment, mask, score in zip(segments, masks, scores):
        made = encode_masks(_resized(mask, small)[None], [score], image_size, source)
        whole['segments'] += [
            dict(item, area=segment['area'], bbox=segment['bbox'], quality=segment['score'])
            for item in made['segments']
        ]
    return whole


def _resized(mask: np.ndarray, size: tuple[int, int], nearest: bool = False) -> np.ndarray:
    """A mask of another size: its nearest pixels, or all pixels that it covers at least half."""
    import cv2

    if mask.shape == size:
        return mask
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_AREA
    return cv2.resize(mask.astype(np.float32), size[::-1], interpolation=how) >= 0.5
