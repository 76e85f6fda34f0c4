"""An estimate of the gain of an adaptation, learned from runs whose pairs were known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

RIDGE = 0.1
# Runs on fewer items say little of what matching contents look like.
LEAST_IMAGES = 200
# Share of the runs whose contents match that are taken for others.
MISSED = 0.1


class Calibration(NamedTuple):
    """A ridge regression of ``log(mR after / mR before)``.

    - ``names``: of the inputs, see :func:`inputs`; ``center``, ``scale``, ``weights``: of each.
    - ``lows``, ``highs``: of each, between which runs were seen.
    - ``intercept``: the mean.
    - ``error``: root mean square of the predictions for domain pairs that were left out.
    - ``least_within``: one in ten runs whose contents match has a lower ``text_within``.
    - ``runs``, ``pairs``: how many.
    """

    names: Sequence[str]
    center: Sequence[float]
    scale: Sequence[float]
    weights: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]
    intercept: float
    error: float
    least_within: float
    runs: int
    pairs: int


class Estimate(NamedTuple):
    """Gain in mR over the source model, in percent.

    - ``gain``; ``low`` and ``high``: an error less and more.
    - ``outside``: inputs beyond those of the calibration.
    """

    gain: float
    low: float
    high: float
    outside: list[str]


def inputs(measured: Mapping[str, float]) -> dict[str, float]:
    """What the regression may use, from the measures of a run.

    Args:
        measured (Mapping[str, float]): Of :mod:`urbancross_mm.inference.trust.measures`, and
            ``steps``.

    Returns:
        dict[str, float]: By name.
    """
    least = min(measured['images'], measured['texts'])
    values = dict(measured, items=math.log10(least), length=min(measured['steps'] / 240, 1.0))
    for name in ('agreement', 'hubness', 'followed', 'score'):
        values[f'{name}_rise'] = measured[f'{name}_after'] - measured[f'{name}_before']
    return values


def estimate(measured: Mapping[str, float], calibration: Calibration) -> Estimate:
    """Predict the gain of a run.

    Args:
        measured (Mapping[str, float]): As :func:`inputs` takes them.
        calibration (Calibration): The regression.

    Returns:
        Estimate: An input beyond the calibration may lower it, and raises it no further than the
        runs that were seen.
    """
    values = inputs(measured)
    total, outside = calibration.intercept, []
    for name, center, scale, weight, low, high in zip(*calibration[:6]):
        if not low <= values[name] <= high:
            outside.append(name)
        terms = [weight * (value - center) / scale for value in (values[name], low, high)]
        total += min(terms[0], max(terms[1:]))
    error = calibration.error
    gain, least, most = (100 * (math.exp(total + off) - 1) for off in (0.0, -error, error))
    return Estimate(gain, least, most, outside)


def calibrate(
    runs: Sequence[Mapping[str, float]],
    pairs: Sequence[str],
    names: Sequence[str],
    matching: Sequence[bool],
) -> Calibration:
    """Fit the regression, and its error on domain pairs that it was not fitted on.

    Args:
        runs (Sequence[Mapping[str, float]]): Measures of each run, with ``recall_before`` and
            ``recall_after``.
        pairs (Sequence[str]): Domain pair of each run.
        names (Sequence[str]): Inputs to use.
        matching (Sequence[bool]): Whether images and texts of each run are of the same content.

    Returns:
        Calibration: Of all runs.
    """
    values = torch.tensor([[inputs(run)[name] for name in names] for run in runs]).double()
    gains = torch.tensor([math.log(run['recall_after'] / run['recall_before']) for run in runs])
    left_out = predictions_left_out(values, gains.double(), pairs)
    *fitted, intercept = _fit(values, gains.double())
    center, scale, weights, lows, highs = (
        tuple(round(value, 5) for value in row.tolist())
        for row in (*fitted, values.amin(dim=0), values.amax(dim=0))
    )
    return Calibration(
        tuple(names),
        center,
        scale,
        weights,
        lows,
        highs,
        round(float(intercept), 5),
        round(float((left_out - gains).square().mean().sqrt()), 5),
        least_within(runs, matching),
        len(runs),
        len(set(pairs)),
    )


def least_within(runs: Sequence[Mapping[str, float]], matching: Sequence[bool]) -> float:
    """What one in ten runs whose contents match falls below in ``text_within``.

    Args:
        runs (Sequence[Mapping[str, float]]): Measures of each run.
        matching (Sequence[bool]): Of each run.

    Returns:
        float: Over runs of 200 images and more.
    """
    seen = [
        run['text_within']
        for run, matches in zip(runs, matching)
        if matches and run['images'] >= LEAST_IMAGES
    ]
    return round(float(torch.tensor(seen).quantile(MISSED)), 5)


def predictions_left_out(values: Tensor, gains: Tensor, pairs: Sequence[str]) -> Tensor:
    """Predict the runs of each pair by a fit on all others.

    Args:
        values (Tensor): Inputs.
        gains (Tensor): Logarithms of the gains.
        pairs (Sequence[str]): Of each run.

    Shape:
        values ``(R, F)``, gains and output ``(R,)``.

    Returns:
        Tensor: Predicted logarithms.
    """
    predicted = torch.empty_like(gains)
    for name in set(pairs):
        out = torch.tensor([pair == name for pair in pairs])
        center, scale, weights, intercept = _fit(values[~out], gains[~out])
        predicted[out] = (values[out] - center) / scale @ weights + intercept
    return predicted


def _fit(values: Tensor, gains: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ridge regression on standardized inputs."""
    center, scale = values.mean(dim=0), values.std(dim=0).clamp(min=1e-9)
    units, mean = (values - center) / scale, gains.mean()
    matrix = units.t() @ units / len(units) + RIDGE * torch.eye(values.shape[1]).double()
    return center, scale, torch.linalg.solve(matrix, units.t() @ (gains - mean) / len(units)), mean
