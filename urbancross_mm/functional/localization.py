"""Semantic localization: how well a map of probabilities fits the regions that a text means.

The four indicators of SeLo (arXiv 2209.06515). A region is a polygon of ``(x, y)`` in pixels, and a
peak is a local maximum of the map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Rsu falls off by this; regions reach so many mean distances of their vertices.
_STEEPNESS, _EXPAND = 0.707, 1.5
_WEIGHTS = dict(Rsu=0.4, Ras=0.35, Rda=0.25)


class Disc(NamedTuple):
    """The middle of a region and how far it reaches, in pixels."""

    x: float
    y: float
    radius: float


def region_disc(polygon: np.ndarray) -> Disc:
    """The disc that stands for a region.

    Args:
        polygon (np.ndarray): Its vertices, as the file lists them, a closing one among them.

    Shape:
        - polygon: ``(V, 2)``.

    Returns:
        Disc: The mean vertex, and 1.5 times the mean distance of the vertices from it; in whole
        pixels, as published, and a radius of at least one.
    """
    middle = np.trunc(polygon.mean(axis=0))
    reach = int(_EXPAND * np.hypot(*(polygon - middle).T).mean())
    return Disc(float(middle[0]), float(middle[1]), max(reach, 1))


def significant_area(inside: float, total: float, area: float, pixels: int) -> float:
    """Rsu: whether probability lies in the regions rather than beside them; higher is better.

    Args:
        inside (float): Sum of the probabilities in the regions.
        total (float): Sum over the map.
        area (float): Pixels of the regions.
        pixels (int): Pixels of the map.

    Returns:
        float: From 0 to 1.

    Raises:
        ValueError: If the regions have no pixel in the map.
    """
    if area <= 0:
        raise ValueError('the regions have no pixel in the map')
    ratio = inside / (total - inside + 1e-7) * (pixels - area) / area
    return 1 - math.exp(-_STEEPNESS * ratio)


def attention_shift(discs: Sequence[Disc], peaks: np.ndarray) -> float:
    """Ras: how far the peaks near a region lie from its middle; lower is better.

    Args:
        discs (Sequence[Disc]): Of the regions.
        peaks (np.ndarray): Their ``(x, y)``.

    Shape:
        - peaks: ``(P, 2)``.

    Returns:
        float: From 0 to 1; a region without a peak counts as much as one with a peak at its rim.
    """
    shifts = []
    for disc in discs:
        distances = _distances(disc, peaks)
        shifts.append(distances.mean() / disc.radius if len(distances) else 1.0)
    return math.expm1(3 * float(np.mean(shifts))) / math.expm1(3)


def discrete_attention(discs: Sequence[Disc], peaks: np.ndarray) -> float:
    """Rda: whether each region draws one peak rather than none or several; higher is better.

    Args:
        discs (Sequence[Disc]): Of the regions.
        peaks (np.ndarray): Their ``(x, y)``.

    Shape:
        - peaks: ``(P, 2)``.

    Returns:
        float: From 0 to 1, the mean of the regions.
    """
    values = []
    for disc in discs:
        near = peaks[_distances_of_all(disc, peaks) <= disc.radius]
        if len(near) < 2:
            values.append(float(len(near)))
            continue
        apart = np.hypot(*(near - near.mean(axis=0)).T).mean()
        values.append(0.5 * (1 - apart / disc.radius) + math.exp(-0.5 * (len(near) + 2)))
    return float(np.mean(values))


def mean_indicator(rsu: float, ras: float, rda: float) -> float:
    """Rmi: the weighted mean of the three; higher is better.

    Args:
        rsu (float): Of :func:`significant_area`.
        ras (float): Of :func:`attention_shift`.
        rda (float): Of :func:`discrete_attention`.

    Returns:
        float: From 0 to 1.
    """
    return _WEIGHTS['Rsu'] * rsu + _WEIGHTS['Ras'] * (1 - ras) + _WEIGHTS['Rda'] * rda


def area_under_roc(scores: np.ndarray, inside: np.ndarray) -> float:
    """How often a pixel of the regions scores higher than one beside them; 0.5 by chance.

    Args:
        scores (np.ndarray): Of the pixels; ties count half, NaN is left out.
        inside (np.ndarray): Which pixels belong to the regions, bool.

    Shape:
        - scores, inside: the same.

    Returns:
        float: From 0 to 1; NaN if all pixels with a score, or none, are in the regions.
    """
    known = ~np.isnan(scores)
    order, places, counts = np.unique(scores[known], return_inverse=True, return_counts=True)
    right = np.bincount(places, weights=inside[known].ravel(), minlength=len(order))
    wrong = counts - right
    below = np.cumsum(wrong) - wrong / 2
    total = right.sum() * wrong.sum()
    return float((right * below).sum() / total) if total else math.nan


def sliding_max(values: np.ndarray, size: int) -> np.ndarray:
    """Largest value in the square around each pixel, in time that does not depend on its size.

    Args:
        values (np.ndarray): Not negative.
        size (int): Side of the square: from ``size // 2`` before a pixel to
            ``(size - 1) // 2`` behind it.

    Shape:
        - values, output: ``(H, W)``.

    Returns:
        np.ndarray: Of the same type.
    """
    return _max_along_rows(_max_along_rows(values, size).T, size).T


def _max_along_rows(values: np.ndarray, size: int) -> np.ndarray:
    """Maxima from the left and from the right in blocks of ``size``; a window is two of them."""
    width = values.shape[1]
    blocks = -(-(width + size - 1) // size)
    padded = np.zeros((len(values), blocks * size), dtype=values.dtype)
    padded[:, size // 2 : size // 2 + width] = values
    parts = padded.reshape(len(values), blocks, size)
    left = np.maximum.accumulate(parts, axis=2).reshape(padded.shape)
    right = np.maximum.accumulate(parts[:, :, ::-1], axis=2)[:, :, ::-1].reshape(padded.shape)
    return np.maximum(right[:, :width], left[:, size - 1 : size - 1 + width])


def _distances(disc: Disc, peaks: np.ndarray) -> np.ndarray:
    distances = _distances_of_all(disc, peaks)
    return distances[distances <= disc.radius]


def _distances_of_all(disc: Disc, peaks: np.ndarray) -> np.ndarray:
    return np.hypot(peaks[:, 0] - disc.x, peaks[:, 1] - disc.y)
