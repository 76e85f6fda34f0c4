"""Semantic localization of texts in large images."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmengine.evaluator import BaseMetric

from urbancross_mm.functional.localization import (
    attention_shift,
    discrete_attention,
    mean_indicator,
    region_disc,
    significant_area,
    sliding_max,
)
from urbancross_mm.registry import METRICS

NAMES = ('Rsu', 'Ras', 'Rda', 'Rmi')
_BOX, _TIMES = 50, 5  # of the blur before peaks are looked for


@METRICS.register_module()
class SemanticLocalizationMetric(BaseMetric):
    """The indicators of SeLo (arXiv 2209.06515), each the mean over the queries.

    - ``Rsu``: probability lies in the regions rather than beside them. Higher is better.
    - ``Ras``: the peaks lie off the middles of the regions. Lower is better.
    - ``Rda``: each region draws one peak. Higher is better.
    - ``Rmi``: ``0.4 Rsu + 0.35 (1 - Ras) + 0.25 Rda``.

    A sample is a dict of ``query_id``, ``heat_map`` (uint8, ``(H, W)``, 255 for the best pixel) and
    ``regions`` (polygons of ``(x, y)`` in pixels, the ``points`` of the published ``anno.json``).
    A query that comes twice counts once.

    Peaks are the largest pixels, in a square of ``window`` around them, of the map after five box
    filters of 50 pixels; touching ones are one peak, at their middle. Those below half of the
    largest probability do not count.

    Args:
        window (int): In pixels. Defaults to 1000.
        **kwargs: Of mmengine's ``BaseMetric``: ``collect_device``, ``prefix``, ``collect_dir``.
    """

    default_prefix = 'localization'

    def __init__(self, window: int = 1000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = window

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score the map of each query.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): See the class.

        Raises:
            ValueError: If a map is not uint8, or the regions of a query have no pixel in it.
        """
        for sample in data_samples:
            try:
                scores = score_map(sample['heat_map'], sample['regions'], self.window)
            except ValueError as error:
                raise ValueError(f'query {sample["query_id"]!r}: {error}') from error
            self.results.append(dict(query_id=sample['query_id'], scores=scores))

    def evaluate(self, size: int) -> dict:
        """Collect from all ranks and compute; see :meth:`mmengine.evaluator.BaseMetric.evaluate`.

        Args:
            size (int): Not used: ids tell what padding added.

        Returns:
            dict: Names and values, on every rank.
        """
        return super().evaluate(sys.maxsize)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Average what was scored.

        Args:
            results (list[dict]): Records of :meth:`process`, duplicates among them.

        Returns:
            dict[str, float]: The four indicators, with four decimals.
        """
        queries = {result['query_id']: result['scores'] for result in results}
        means = {name: np.mean([scores[name] for scores in queries.values()]) for name in NAMES}
        return {name: round(float(mean), 4) for name, mean in means.items()}


def score_map(
    heat_map: np.ndarray, regions: Sequence[Sequence[Sequence[float]]], window: int = 1000
) -> dict[str, float]:
    """Score one map.

    Args:
        heat_map (np.ndarray): uint8, 255 for the best pixel.
        regions (Sequence): Polygons of ``(x, y)`` in pixels.
        window (int): See :class:`SemanticLocalizationMetric`. Defaults to 1000.

    Shape:
        - heat_map: ``(H, W)``.

    Returns:
        dict[str, float]: The four indicators.

    Raises:
        ValueError: If the map is not uint8, or the regions are none or have no pixel in it.
    """
    if heat_map.dtype != np.uint8 or heat_map.ndim != 2:
        raise ValueError(
            f'the map must be uint8 of shape (H, W), got {heat_map.dtype} {heat_map.shape}'
        )
    polygons = [np.asarray(region, dtype=np.float64) for region in regions]
    if not polygons or any(p.ndim != 2 or p.shape[1] != 2 or len(p) < 3 for p in polygons):
        raise ValueError('regions must be polygons of at least three (x, y)')
    mask = np.zeros(heat_map.shape, dtype=np.uint8)
    # Whole pixels and one call, as published: where two regions overlap is outside.
    cv2.fillPoly(mask, [polygon.astype(np.int32) for polygon in polygons], 1)
    # Sums of whole numbers are exact.
    inside = int(heat_map[mask > 0].sum(dtype=np.int64)) / 255
    total = int(heat_map.sum(dtype=np.int64)) / 255
    rsu = significant_area(inside, total, int(mask.sum(dtype=np.int64)), mask.size)
    discs = [region_disc(polygon) for polygon in polygons]
    peaks = find_peaks(heat_map, window)
    ras, rda = attention_shift(discs, peaks), discrete_attention(discs, peaks)
    return dict(Rsu=rsu, Ras=ras, Rda=rda, Rmi=mean_indicator(rsu, ras, rda))


def find_peaks(heat_map: np.ndarray, window: int = 1000) -> np.ndarray:
    """Find the peaks of a map.

    Args:
        heat_map (np.ndarray): uint8.
        window (int): See :class:`SemanticLocalizationMetric`. Defaults to 1000.

    Shape:
        - heat_map: ``(H, W)``; output: ``(P, 2)``.

    Returns:
        np.ndarray: Their ``(x, y)``.
    """
    smooth = heat_map
    for _ in range(_TIMES):
        smooth = cv2.blur(smooth, (_BOX, _BOX))
    tops = (smooth == sliding_max(smooth, window)) & (smooth > 0)
    middles = cv2.connectedComponentsWithStats(tops.astype(np.uint8), connectivity=8)[3][1:]
    found = middles.astype(np.int64)
    return found[heat_map[found[:, 1], found[:, 0]] >= 127.5].astype(np.float64)
