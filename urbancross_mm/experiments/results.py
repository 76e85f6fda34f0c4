"""The results of a matrix as one table, and the statistics over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from urbancross_mm.experiments.plan import IN_TARGET, SOURCE_ONLY, Job
from urbancross_mm.experiments.records import JobFolder

METRIC = 'mR'
COLUMNS = [
    METRIC,
    *(f'{way}_R@{k}' for way in ('i2t', 't2i') for k in (1, 5, 10)),
    *(f'{way}_{what}' for way in ('i2t', 't2i') for what in ('MedR', 'MeanR')),
    'num_images',
    'num_texts',
]
_PREFIX = 'retrieval/'


@dataclass(frozen=True)
class Cell:
    """One number of the report: mean and sample standard deviation over the seeds that are there.

    Args:
        values (pd.Series): A value for each seed that is done.
        holes (tuple[str, ...]): ``'failed'`` or ``'not run'`` for each other seed.
    """

    values: pd.Series
    holes: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        """float: Not a number where no seed is done."""
        return float(self.values.mean())

    def __str__(self) -> str:
        """Mean, deviation and, never silently, what is missing."""
        if self.values.empty:
            return self.holes[0] if self.holes else '-'
        text = f'{self.mean:.2f}'
        if len(self.values) > 1:
            text += f' ± {self.values.std():.2f}'
        if self.holes:
            text += f' ({len(self.holes)} of {len(self.holes) + len(self.values)} {self.holes[0]})'
        return text


class Results:
    """Every run of a matrix.

    Args:
        jobs (Sequence[Job]): From :func:`plan`.
        out (str | Path): Folder of the matrix.
        select (str): Which adapted checkpoint was tested. Defaults to 'last'.

    Attributes:
        runs (pd.DataFrame): One row a job: what it is, its status (``done``, ``failed``,
            ``not run``), the metrics, the tested checkpoint, seconds, and the error.
    """

    def __init__(self, jobs: Sequence[Job], out: str | Path, select: str = 'last') -> None:
        self.runs = pd.DataFrame([_row(JobFolder(out, job, select)) for job in jobs])
        domains = [job.target for job in jobs if job.method == IN_TARGET]
        self.domains = list(dict.fromkeys(domains))
        self.methods = [
            name for name in dict.fromkeys(job.method for job in jobs) if name != IN_TARGET
        ]
        self.seeds = list(dict.fromkeys(job.seed for job in jobs))

    @property
    def directions(self) -> list[tuple[str, str]]:
        """list[tuple[str, str]]: Every source with every other target."""
        return [(a, b) for a in self.domains for b in self.domains if a != b]

    @property
    def failed(self) -> pd.DataFrame:
        """pd.DataFrame: The runs without a result that were tried."""
        return self.runs[self.runs.status == 'failed']

    def cell(self, method: str, source: str, target: str) -> Cell:
        """Look up a number.

        Args:
            method (str): ``in-target`` is the model trained on the target, whatever the source;
                so is ``source-only`` where the two are one. Or the name of a method.
            source (str): A domain.
            target (str): A domain.

        Returns:
            Cell: Empty where there is no such run, as on the diagonal of a method.
        """
        if method == IN_TARGET or (method == SOURCE_ONLY and source == target):
            method, source = IN_TARGET, target
        rows = self.runs[
            (self.runs.method == method)
            & (self.runs.source == source)
            & (self.runs.target == target)
        ]
        done = rows.status == 'done'
        return Cell(rows[done].set_index('seed')[METRIC].astype(float), tuple(rows[~done].status))

    def average(self, method: str) -> Cell:
        """Average a method over all directions, seed by seed.

        Args:
            method (str): ``in-target``, ``source-only``, or the name of a method.

        Returns:
            Cell: Only seeds that have every direction count.
        """
        cells = [self.cell(method, *direction) for direction in self.directions]
        table = pd.concat([cell.values for cell in cells], axis=1)
        whole = table[table.notna().all(axis=1)].mean(axis=1)
        reasons = [hole for cell in cells for hole in cell.holes]
        return Cell(whole, tuple(reasons[:1]) * (len(self.seeds) - len(whole)))

    def gain(self, method: str, source: str, target: str) -> float:
        """Relative gain over the source model, in percent.

        Args:
            method (str): Name of a method, or ``in-target``.
            source (str): A domain.
            target (str): Another domain.

        Returns:
            float: Of the means over the seeds that both have; not a number if there is none, or
            the source model is at 0.
        """
        ours = self.cell(method, source, target)
        base = self.cell(SOURCE_ONLY, source, target)
        both = pd.concat([ours.values, base.values], axis=1, keys=['ours', 'base']).dropna().mean()
        return 100 * (both.ours / both.base - 1) if both.base > 0 else float('nan')

    def average_gain(self, method: str) -> float:
        """Mean of the relative gains of all directions, in percent.

        Args:
            method (str): Name of a method, or ``in-target``.

        Returns:
            float: Not a number if any direction has none.
        """
        gains = pd.Series([self.gain(method, *pair) for pair in self.directions])
        return float(gains.mean(skipna=False))


def _row(folder: JobFolder) -> dict[str, Any]:
    job, record, metrics = folder.job, folder.record(), folder.metrics()
    status = 'done' if metrics is not None else 'failed' if folder.error else 'not run'
    test = record.get('tests', {}).get(folder.select, {})
    return dict(
        method=job.method,
        source=job.source,
        target=job.target,
        seed=job.seed,
        status=status,
        **{name: (metrics or {}).get(_PREFIX + name) for name in COLUMNS},
        checkpoint=test.get('checkpoint') or '',
        seconds=round(record.get('train_seconds', 0) + test.get('seconds', 0), 2),
        resumed=bool(record.get('resumed')),
        job=job.name,
        error='' if status == 'done' else folder.error or '',
    )
