"""Semantic localization, against loops over pixels that follow the published arithmetic."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from urbancross_mm.evaluation import SemanticLocalizationMetric
from urbancross_mm.evaluation.metrics.semantic_localization_metric import find_peaks, score_map
from urbancross_mm.registry import METRICS

HEIGHT, WIDTH, WINDOW = 70, 90, 31
REGIONS = [[[10, 12], [40, 12], [40, 44], [10, 44]], [[60, 50], [84, 50], [84, 66], [60, 66]]]


def blurred(values: list[list[int]]) -> list[list[int]]:
    """A box of 50 pixels, 25 before and 24 behind; mirrored about the middle of the last pixel."""

    def mirrored(index: int, length: int) -> int:
        while not 0 <= index < length:
            index = -index if index < 0 else 2 * (length - 1) - index
        return index

    def along(line: Sequence[float]) -> list[float]:
        return [
            sum(line[mirrored(i + step, len(line))] for step in range(-25, 25))
            for i in range(len(line))
        ]

    rows = [along(row) for row in values]
    columns = [along(column) for column in zip(*rows)]
    return [[round(value / 2500) for value in row] for row in zip(*columns)]


def naive_peaks(heat_map: np.ndarray) -> list[tuple[int, int]]:
    smooth = heat_map.tolist()
    for _ in range(5):
        smooth = blurred(smooth)
    tops = set()
    for y in range(HEIGHT):
        for x in range(WIDTH):
            around = [
                smooth[b][a]
                for b in range(max(0, y - WINDOW // 2), min(HEIGHT, y + WINDOW // 2 + 1))
                for a in range(max(0, x - WINDOW // 2), min(WIDTH, x + WINDOW // 2 + 1))
            ]
            if smooth[y][x] == max(around) > 0:
                tops.add((x, y))
    peaks = []
    while tops:
        group = [tops.pop()]
        for x, y in group:
            near = {(x + a, y + b) for a in (-1, 0, 1) for b in (-1, 0, 1)} & tops
            tops -= near
            group += near
        x, y = (int(sum(values) / len(group)) for values in zip(*group))
        if heat_map[y, x] / 255 >= 0.5:
            peaks.append((x, y))
    return peaks


def naive(heat_map: np.ndarray, boxes: list) -> dict[str, float]:
    """The four indicators of axis-parallel boxes, whose border pixels are inside."""
    inside = total = area = 0.0
    for y in range(HEIGHT):
        for x in range(WIDTH):
            member = any(
                box[0][0] <= x <= box[2][0] and box[0][1] <= y <= box[2][1] for box in boxes
            )
            total += heat_map[y, x] / 255
            inside += member * heat_map[y, x] / 255
            area += member
    ratio = inside / (total - inside + 1e-7) * (HEIGHT * WIDTH - area) / area
    rsu = 1 - math.exp(-0.707 * ratio)
    peaks, shifts, rdas = naive_peaks(heat_map), [], []
    for box in boxes:
        cx, cy = (int(sum(point[axis] for point in box) / 4) for axis in (0, 1))
        radius = int(1.5 * sum(math.dist(point, (cx, cy)) for point in box) / 4)
        near = [peak for peak in peaks if math.dist(peak, (cx, cy)) <= radius]
        offset = sum(math.dist(p, (cx, cy)) for p in near) / len(near) if near else radius
        shifts.append(offset / radius)
        if len(near) < 2:
            rdas.append(len(near))
            continue
        middle = [sum(values) / len(near) for values in zip(*near)]
        apart = sum(math.dist(p, middle) for p in near) / len(near)
        rdas.append(0.5 * (1 - apart / radius) + math.exp(-0.5 * (len(near) + 2)))
    ras = (math.exp(3 * sum(shifts) / len(shifts)) - 1) / (math.exp(3) - 1)
    rda = sum(rdas) / len(rdas)
    return dict(Rsu=rsu, Ras=ras, Rda=rda, Rmi=0.4 * rsu + 0.35 * (1 - ras) + 0.25 * rda)


def bumps(*centers: tuple[int, int], width: float = 9.0) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    value = sum(np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / width**2) for x, y in centers)
    return (255 * value / value.max()).astype(np.uint8)


@pytest.mark.parametrize(
    'heat_map',
    [
        bumps((25, 28)),
        bumps((25, 28), (72, 58)),
        bumps((60, 10), (5, 60)),
        bumps((15, 15), (38, 40), (70, 55), width=4),
        np.full((HEIGHT, WIDTH), 200, np.uint8),
        np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8),
    ],
    ids=['one', 'both', 'beside', 'three', 'flat', 'noise'],
)
def test_the_indicators_are_the_published_ones(heat_map: np.ndarray) -> None:
    found = score_map(heat_map, REGIONS, WINDOW)
    assert found == pytest.approx(naive(heat_map, REGIONS), abs=1e-9)


def test_a_perfect_map_and_an_empty_one() -> None:
    heat_map = np.zeros((400, 400), np.uint8)
    heat_map[100:301, 100:301] = 255
    square = [[[100, 100], [300, 100], [300, 300], [100, 300]]]
    # Five boxes of an even size move it by half a pixel each.
    assert find_peaks(heat_map).tolist() == [[202, 202]]
    perfect = score_map(heat_map, square)
    assert perfect == pytest.approx(dict(Rsu=1, Ras=0, Rda=1, Rmi=1), abs=3e-3)
    nothing = score_map(np.zeros_like(heat_map), square)
    assert nothing == pytest.approx(dict(Rsu=0, Ras=1, Rda=0, Rmi=0))
    inverse = score_map(255 - heat_map, square)
    assert inverse['Rsu'] < 0.01 and inverse['Rmi'] < 0.2


def test_the_metric_is_the_mean_of_the_queries() -> None:
    metric = METRICS.build(dict(type='SemanticLocalizationMetric', window=WINDOW))
    assert isinstance(metric, SemanticLocalizationMetric)
    maps = [bumps((25, 28)), bumps((72, 58))]
    for number, heat_map in enumerate([*maps, maps[0]]):
        metric.process(None, [dict(query_id=number % 2, heat_map=heat_map, regions=REGIONS)])
    scores = metric.evaluate(3)
    expected = [score_map(heat_map, REGIONS, WINDOW) for heat_map in maps]
    for name in ('Rsu', 'Ras', 'Rda', 'Rmi'):
        mean = sum(one[name] for one in expected) / 2
        assert scores[f'localization/{name}'] == pytest.approx(mean, abs=1e-4)


@pytest.mark.parametrize(
    ('heat_map', 'regions', 'named'),
    [
        (np.zeros((9, 9)), REGIONS, 'float64'),
        (np.zeros((9, 9), np.uint8), [], 'polygons'),
        (np.zeros((9, 9), np.uint8), [[[0, 0], [1, 1]]], 'polygons'),
        (np.zeros((9, 9), np.uint8), [[[20, 20], [30, 20], [30, 30]]], 'no pixel'),
    ],
)
def test_what_cannot_be_scored(heat_map: np.ndarray, regions: list, named: str) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        SemanticLocalizationMetric().process(
            None, [dict(query_id='7', heat_map=heat_map, regions=regions)]
        )
    assert "'7'" in str(caught.value)
