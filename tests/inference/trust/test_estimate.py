"""The estimate of a gain: ridge regression, and its error on domain pairs that were left out."""

from __future__ import annotations

import math

import pytest
import torch

from urbancross_mm.inference.trust.calibration import CALIBRATION
from urbancross_mm.inference.trust.estimate import (
    RIDGE,
    Calibration,
    calibrate,
    estimate,
    inputs,
    predictions_left_out,
)

NAMES = ('stability', 'hubness_rise')


def run(stability: float, rise: float, gain: float = 0.0) -> dict[str, float]:
    numbers = dict(images=200.0, texts=50.0, steps=480.0, stability=stability)
    for name in ('agreement', 'hubness', 'followed', 'score'):
        numbers.update({f'{name}_before': 1.0, f'{name}_after': 1.0 + rise})
    numbers['text_within'] = stability
    return dict(numbers, recall_before=10.0, recall_after=10 * math.exp(gain))


def test_inputs() -> None:
    values = inputs(run(0.4, 0.25))
    assert values['items'] == pytest.approx(math.log10(50)) and values['length'] == 1
    assert values['hubness_rise'] == pytest.approx(0.25)
    assert inputs(dict(run(0.4, 0.0), steps=60.0))['length'] == 0.25


def test_the_estimate_by_hand() -> None:
    known = Calibration(
        NAMES, (0.5, 0.0), (0.1, 1.0), (0.2, -0.1), (0, -1), (1, 1), 0.05, 0.1, 0.2, 9, 3
    )
    result = estimate(run(0.6, 0.5), known)
    total = 0.05 + 0.2 * 1 - 0.1 * 0.5
    assert result.gain == pytest.approx(100 * (math.exp(total) - 1))
    assert result.low == pytest.approx(100 * (math.exp(total - 0.1) - 1))
    assert result.high == pytest.approx(100 * (math.exp(total + 0.1) - 1))
    assert result.outside == []
    assert estimate(run(1.4, -3.0), known).outside == ['stability', 'hubness_rise']
    # What lies beyond raises it no further, and may lower it.
    assert estimate(run(0.6, -3.0), known).gain == estimate(run(0.6, -1.0), known).gain
    assert estimate(run(1.4, 0.5), known).gain == estimate(run(1.0, 0.5), known).gain
    assert estimate(run(0.6, 3.0), known).gain < estimate(run(0.6, 1.0), known).gain


def test_calibration_finds_what_made_the_gains() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(60, 2, generator=generator).tolist()
    runs = [run(a, b, 0.5 * a - 0.2 * b) for a, b in values]
    pairs = [f'pair{number % 5}' for number in range(60)]
    matching = [a > 0.3 for a, _ in values]
    found = calibrate(runs, pairs, NAMES, matching)
    matched = sorted(a for a, _ in values if a > 0.3)
    assert matched[0] < found.least_within < matched[len(matched) // 5]
    assert (found.runs, found.pairs) == (60, 5) and found.error < 0.05
    assert estimate(run(0.9, 0.1), found).gain > 30 > 10 > estimate(run(0.2, 0.1), found).gain
    assert found.lows[0] == pytest.approx(min(a for a, _ in values), abs=1e-4)


def test_left_out_naively() -> None:
    generator = torch.Generator().manual_seed(1)
    values = torch.rand(12, 2, generator=generator).double()
    gains = torch.rand(12, generator=generator).double()
    pairs = ['a'] * 4 + ['b'] * 5 + ['c'] * 3
    found = predictions_left_out(values, gains, pairs)
    kept = [n for n in range(12) if pairs[n] != 'b']
    mean, spread = values[kept].mean(dim=0), values[kept].std(dim=0)
    rows = torch.cat([(values[kept] - mean) / spread, (RIDGE * len(kept)) ** 0.5 * torch.eye(2)])
    told = torch.cat([gains[kept] - gains[kept].mean(), torch.zeros(2)])
    weights = torch.linalg.lstsq(rows, told[:, None]).solution[:, 0]
    expected = (values[4:9] - mean) / spread @ weights + gains[kept].mean()
    torch.testing.assert_close(found[4:9], expected)


def test_the_calibration_of_the_package_is_whole() -> None:
    assert CALIBRATION.runs >= 100 and CALIBRATION.pairs >= 6 and CALIBRATION.error > 0
    for values in CALIBRATION[1:6]:
        assert len(values) == len(CALIBRATION.names)
    assert all(low < high for low, high in zip(CALIBRATION.lows, CALIBRATION.highs))
