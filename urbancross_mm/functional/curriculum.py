"""Schedules of an adaptation: what grows with the stage, and with the progress of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence

SCHEDULES = ('step', 'linear', 'table')


def scheduled(
    stage: int,
    num_stages: int,
    schedule: str = 'step',
    start: float = 0.2,
    end: float = 1.0,
    step: float = 0.2,
    table: Sequence[float] = (),
) -> float:
    """The value of a schedule at a stage.

    Args:
        stage (int): c, from 0.
        num_stages (int): How many stages there are; 'linear' reaches ``end`` at the last one.
        schedule (str): 'step': ``start + c * step``, never beyond ``end``; 'linear': from
            ``start`` to ``end``; 'table': ``table[c]``, whose last value stays. Defaults to
            'step'.
        start (float): First value. Defaults to 0.2.
        end (float): Last value. Defaults to 1.0.
        step (float): Growth a stage. Defaults to 0.2.
        table (Sequence[float]): Values by stage. Defaults to ().

    Returns:
        float: The value.

    Raises:
        ValueError: If the schedule is unknown, a table is empty, or the stage is negative.

    Reference:
        UrbanCross (https://arxiv.org/abs/2404.14241): ratio ``min(0.2 + 0.2 c, 1)``, margin
        ``min(0.5 + 0.2 c, 1.5)``.
    """
    if stage < 0:
        raise ValueError(f'a stage is counted from 0, got {stage}')
    if schedule == 'step':
        value = start + stage * step
        return min(value, end) if step >= 0 else max(value, end)
    if schedule == 'linear':
        return start + (end - start) * min(stage / max(num_stages - 1, 1), 1.0)
    if schedule == 'table':
        if not table:
            raise ValueError("schedule='table' needs a table of values, got none")
        return table[min(stage, len(table) - 1)]
    raise ValueError(f'schedule must be one of {SCHEDULES}, got {schedule!r}')


def reversal_ramp(progress: float, maximum: float = 1.0, gamma: float = 10.0) -> float:
    """The coefficient of gradient reversal, from 0 towards its maximum.

    Args:
        progress (float): p, the part of the run that is over, 0 to 1.
        maximum (float): Where it ends. Defaults to 1.0.
        gamma (float): How fast it gets there. Defaults to 10.0.

    Returns:
        float: ``maximum * (2 / (1 + exp(-gamma p)) - 1)``.

    Reference:
        DANN (https://arxiv.org/abs/1505.07818), section 5.2.
    """
    return maximum * (2 / (1 + math.exp(-gamma * min(max(progress, 0.0), 1.0))) - 1)
