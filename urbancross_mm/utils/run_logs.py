"""The validations that a training logged."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from urbancross_mm.utils.text_files import read_lines

_TIMES = ('step', 'time', 'data_time')


def read_validations(work_dir: str | Path, prefix: str = '') -> dict[int, dict[str, float]]:
    """Read every validation of a run, even of a resumed one.

    Args:
        work_dir (str | Path): Where ``tools/train.py`` wrote ``*/vis_data/scalars.json``.
        prefix (str): Only validations that have a metric with this prefix. Defaults to ''.

    Returns:
        dict[int, dict[str, float]]: Metrics by epoch, ascending; none if nothing was validated. If
        a later start of the run repeats an epoch, it replaces that epoch and everything after it.

    Raises:
        FileNotFoundError: If there is no log.
        ValueError: If a log is not JSON.
    """
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not logs:
        raise FileNotFoundError(f'no log (*/vis_data/scalars.json) in the folder {work_dir}')
    validations: dict[int, dict[str, float]] = {}
    for log in logs:
        new = {record['step']: _metrics(record) for record in _records(log)}
        new = {e: values for e, values in new.items() if any(k.startswith(prefix) for k in values)}
        first = min(new, default=math.inf)
        validations = {e: values for e, values in validations.items() if e < first} | new
    return dict(sorted(validations.items()))


def _records(log: Path) -> list[dict[str, Any]]:
    """What validations logged; records of the training name an iteration."""
    lines = read_lines(log)
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            # A run that was killed may leave half a line, the last one.
            if number < len(lines):
                raise ValueError(f'{log}, line {number}, is not JSON: {error}') from error
    return [record for record in records if 'iter' not in record]


def _metrics(record: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in record.items() if name not in _TIMES}
