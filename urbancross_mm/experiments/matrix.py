"""A cross-domain matrix from beginning to end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from urbancross_mm.apis.runs import check_data
from urbancross_mm.experiments.job import run_job
from urbancross_mm.experiments.plan import plan
from urbancross_mm.experiments.pool import JobFunction, run_jobs
from urbancross_mm.experiments.report import write_report
from urbancross_mm.experiments.results import Results
from urbancross_mm.experiments.spec import Job, MatrixSpec
from urbancross_mm.toy import ensure_sample


def run_matrix(
    spec: MatrixSpec,
    out: str | Path,
    workers: int = 1,
    force: bool = False,
    command: str = '',
    function: JobFunction = run_job,
) -> tuple[Results, list[Path]]:
    """Plan a matrix, run what is not done, and report everything that is.

    The report is also written when the run is interrupted; what is missing is named in it.

    Args:
        spec (MatrixSpec): What is asked for.
        out (str | Path): Its folder.
        workers (int): Jobs at a time. Defaults to 1.
        force (bool): Do again what was made with other settings. Defaults to False.
        command (str): What the user typed, for the report. Defaults to ''.
        function (Callable): Does one job. Defaults to :func:`run_job`.

    Returns:
        tuple[Results, list[Path]]: The runs, and the files of the report.

    Raises:
        FileNotFoundError: If a config, a source checkpoint or data are missing.
        ValueError: If the plan is wrong, or a folder was made with other settings.
    """
    began = time.monotonic()
    if spec.sample:
        ensure_sample()
    jobs = plan(spec)
    check_all_data(jobs)
    try:
        run_jobs(jobs, out, spec.select, workers, force, function)
    except KeyboardInterrupt:
        _report(spec, jobs, out, command, began)
        raise
    return _report(spec, jobs, out, command, began)


def _report(
    spec: MatrixSpec, jobs: Sequence[Job], out: str | Path, command: str, began: float
) -> tuple[Results, list[Path]]:
    results = Results(jobs, out, spec.select)
    return results, write_report(results, out, spec.select, command, time.monotonic() - began)


def check_all_data(jobs: Sequence[Job]) -> None:
    """Look for every annotation file before anything runs.

    Args:
        jobs (Sequence[Job]): From :func:`plan`.

    Raises:
        FileNotFoundError: If one is missing.
    """
    for job in {(job.method, job.source, job.target): job for job in jobs}.values():
        check_data(Config(dict(job.config)))
