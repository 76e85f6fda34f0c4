"""The results of a matrix as one table, and the statistics over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from urbancross_mm.experiments.records import JobFolder
from urbancross_mm.experiments.spec import IN_TARGET, SOURCE_ONLY, Job

METRIC = 'mR'
COLUMNS = [
    METRIC,
    *(f'{way}_R@{k}' for way in ('i2t', 't2i') for k in (1, 5, 10)),
    *(f'{way}_{what}' for way in ('i2t', 't2i') for what in ('MedR', 'MeanR')),
    'num_images',
    'num_texts',
]
LABEL_FREE = ('agreement', 'hubness_i2t', 'hubness_t2i', 'entropy_i2t', 'entropy_t2i')
_KEYS = {name: f'retrieval/{name}' for name in COLUMNS} | {
    name: f'label_free/{name}' for name in LABEL_FREE
}


@dataclass(frozen=True)
class Cell:
    """One number of the report: mean and sample standard deviation over the seeds that are there.

    Args:
        values (pd.Series): A value for each seed that is done.
        holes (tuple[str, ...]): ``'failed'`` or ``'not run'`` for each other seed.
        digits (int): Behind the point. Defaults to 2.
    """

    values: pd.Series
    holes: tuple[str, ...] = ()
    digits: int = 2

    @property
    def mean(self) -> float:
        """float: Not a number where no seed is done."""
        return float(self.values.mean())

    def __str__(self) -> str:
        """Mean, deviation and, never silently, what is missing."""
        if self.values.empty:
            return self.holes[0] if self.holes else '-'
        text = f'{self.mean:.{self.digits}f}'
        if len(self.values) > 1:
            text += f' ± {self.values.std():.{self.digits}f}'
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
        directions (list[tuple[str, str]]): Source and target of each transfer.
        controls (dict[str, str]): Name of the control of each method that has one.
        trained (list[str]): Domains with an in-target model.
    """

    def __init__(self, jobs: Sequence[Job], out: str | Path, select: str = 'last') -> None:
        self.runs = pd.DataFrame([_row(JobFolder(out, job, select)) for job in jobs])
        transfers = [(job.source, job.target) for job in jobs if job.method == SOURCE_ONLY]
        self.directions = list(dict.fromkeys(transfers))
        trained = [job.target for job in jobs if job.method == IN_TARGET]
        self.trained = list(dict.fromkeys(trained))
        self.domains = list(dict.fromkeys([*self.trained, *(target for _, target in transfers)]))
        self.controls = {job.method: job.control for job in jobs if job.control}
        self.methods = [
            name for name in dict.fromkeys(job.method for job in jobs) if name != IN_TARGET
        ]
        self.seeds = list(dict.fromkeys(job.seed for job in jobs))

    @property
    def failed(self) -> pd.DataFrame:
        """pd.DataFrame: The runs without a result that were tried."""
        return self.runs[self.runs.status == 'failed']

    def cell(self, method: str, source: str, target: str, metric: str = METRIC) -> Cell:
        """Look up a number.

        Args:
            method (str): ``in-target`` is the model trained on the target, whatever the source;
                so is ``source-only`` where the two are one. Or the name of a method.
            source (str): A domain.
            target (str): A domain.
            metric (str): A column of the runs. Defaults to 'mR'.

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
        values = rows[done].set_index('seed')[metric].astype(float).dropna()
        digits = 3 if metric in LABEL_FREE else 2
        return Cell(values, tuple(rows[~done].status), digits)

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

    def gain(self, method: str, source: str, target: str, base: str = SOURCE_ONLY) -> float:
        """Relative gain over the source model, or over another method, in percent.

        Args:
            method (str): Name of a method, or ``in-target``.
            source (str): A domain.
            target (str): Another domain.
            base (str): What is compared with. Defaults to 'source-only'.

        Returns:
            float: Of the means over the seeds that both have; not a number if there is none, or
            the other is at 0.
        """
        pair = [self.cell(name, source, target).values for name in (method, base)]
        both = pd.concat(pair, axis=1, keys=['ours', 'base']).dropna().mean()
        return 100 * (both.ours / both.base - 1) if both.base > 0 else float('nan')

    def gains(self, method: str, direction: tuple[str, str] | None = None) -> dict[str, float]:
        """Relative gains of a method over the source model and over its control, in percent.

        Args:
            method (str): Name of a method, or ``in-target``.
            direction (tuple[str, str], optional): Source and target. Defaults to None: the mean
                over all directions, not a number if any has none.

        Returns:
            dict[str, float]: By what is compared with; the control only if the method has one.
        """
        bases = [SOURCE_ONLY, *filter(None, [self.controls.get(method)])]
        pairs = self.directions if direction is None else [direction]
        return {
            base: float(
                pd.Series([self.gain(method, *pair, base) for pair in pairs]).mean(skipna=False)
            )
            for base in bases
        }


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
        **{name: (metrics or {}).get(key) for name, key in _KEYS.items()},
        checkpoint=test.get('checkpoint') or '',
        seconds=round(record.get('train_seconds', 0) + test.get('seconds', 0), 2),
        resumed=bool(record.get('resumed')),
        job=job.name,
        error='' if status == 'done' else folder.error or '',
    )
