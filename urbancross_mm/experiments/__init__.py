"""Every domain against every other: source models, adaptation methods, and their report."""

from urbancross_mm.experiments.job import run_job, select_checkpoint
from urbancross_mm.experiments.matrix import run_matrix
from urbancross_mm.experiments.methods import Template, parse_methods, parse_options
from urbancross_mm.experiments.plan import plan
from urbancross_mm.experiments.pool import run_jobs
from urbancross_mm.experiments.records import JobFolder
from urbancross_mm.experiments.report import write_report
from urbancross_mm.experiments.results import Results
from urbancross_mm.experiments.spec import (
    CONTROL,
    IN_TARGET,
    SOURCE_ONLY,
    Job,
    MatrixSpec,
    parse_directions,
)

__all__ = [
    'CONTROL',
    'IN_TARGET',
    'Job',
    'JobFolder',
    'MatrixSpec',
    'Template',
    'Results',
    'SOURCE_ONLY',
    'parse_directions',
    'parse_methods',
    'parse_options',
    'plan',
    'run_job',
    'run_jobs',
    'run_matrix',
    'select_checkpoint',
    'write_report',
]
