"""Timing for the other scripts: interleaved repeats, CPU time, medians, Markdown tables.

Import it before torch and numpy: it pins every thread pool to one thread and puts the repository
root on ``sys.path``. Machines are shared and noisy, so candidates take turns, CPU time is quoted
and ratios are taken round by round.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

for _pool in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS'):
    os.environ.setdefault(_pool, '1')
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


class Timing(NamedTuple):
    """Medians over the rounds; ``ratio`` is to the first candidate of the same round."""

    name: str
    cpu_seconds: float
    wall_seconds: float
    ratio: float


def compare(
    candidates: Mapping[str, Callable[[], Any]], repeats: int = 5, warmup: int = 1
) -> list[Timing]:
    """Time candidates in turns.

    Args:
        candidates (Mapping): Name to function; the first is what the others are compared with.
        repeats (int): Rounds that count. Defaults to 5.
        warmup (int): Rounds before that. Defaults to 1.

    Returns:
        list[Timing]: In the order given.
    """
    cpu: dict[str, list[float]] = {name: [] for name in candidates}
    wall: dict[str, list[float]] = {name: [] for name in candidates}
    for round_index in range(warmup + repeats):
        for name, function in candidates.items():
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            function()
            if round_index >= warmup:
                cpu[name].append(time.process_time() - cpu_start)
                wall[name].append(time.perf_counter() - wall_start)
    first = cpu[next(iter(candidates))]
    return [
        Timing(
            name,
            median(cpu[name]),
            median(wall[name]),
            median(own / base for own, base in zip(cpu[name], first)),
        )
        for name in candidates
    ]


def peak_memory(function: Callable[[], Any]) -> float | None:
    """Largest resident memory during a call, above what there was before it.

    Args:
        function (Callable): What to measure.

    Returns:
        float | None: MiB, or None where the system does not tell (anything but Linux).
    """
    try:
        Path('/proc/self/clear_refs').write_text('5')  # resets the high-water mark
    except OSError:
        return None
    before = _status_mib('VmRSS')
    function()
    return _status_mib('VmHWM') - before


def timing_table(
    timings: Sequence[Timing], memory: Mapping[str, float | None] | None = None
) -> str:
    """Format timings as Markdown.

    Args:
        timings (Sequence[Timing]): From :func:`compare`.
        memory (Mapping, optional): Name to peak MiB, for a further column. Defaults to None.

    Returns:
        str: The table.
    """
    rows = []
    for timing in timings:
        row = [
            timing.name,
            f'{timing.cpu_seconds:.3g}',
            f'{timing.wall_seconds:.3g}',
            f'{timing.ratio:.2f}',
        ]
        if memory is not None:
            peak = memory.get(timing.name)
            row.append('-' if peak is None else f'{peak:.0f}')
        rows.append(row)
    header = ['', 'CPU s', 'wall s', 'ratio of CPU time']
    return markdown(header + ['peak extra MiB'] * (memory is not None), rows)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table.

    Args:
        header (Sequence[str]): Column names.
        rows (Sequence[Sequence[str]]): Cells.

    Returns:
        str: The table.
    """
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def settings(**details: Any) -> str:
    """Describe machine and settings in one line.

    Args:
        details: What else to name.

    Returns:
        str: The line.
    """
    import torch

    parts = [f'{name} {value}' for name, value in details.items()]
    return ', '.join(
        [
            f'{_processor()}',
            f'{torch.get_num_threads()} thread',
            f'torch {torch.__version__}',
            *parts,
        ]
    )


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.split(':')[1].strip() for line in lines if line.startswith('model name')),
        platform.machine(),
    )


def _status_mib(key: str) -> float:
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(key + ':'):
            return int(line.split()[1]) / 1024
    return 0.0
