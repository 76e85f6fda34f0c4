"""A matrix from its specification to its report."""

from pathlib import Path

import pytest

from tests.experiments.fakes import fake_job, order, spec_of, write_configs
from urbancross_mm.experiments import plan, run_job, run_matrix
from urbancross_mm.experiments.matrix import check_all_data


def test_missing_data_ends_the_matrix_before_any_job(tmp_path: Path) -> None:
    write_configs(tmp_path)
    check_all_data(plan(spec_of(tmp_path)))
    (tmp_path / 'b_test.json').unlink()
    with pytest.raises(FileNotFoundError, match='b_test.json'):
        run_matrix(spec_of(tmp_path), tmp_path / 'out', function=fake_job)
    assert order(tmp_path / 'out') == [] and not (tmp_path / 'out').exists()


def test_a_finished_matrix_is_only_reported(tmp_path: Path) -> None:
    write_configs(tmp_path)
    jobs = plan(spec_of(tmp_path))
    (tmp_path / 'out').mkdir()
    for job in jobs:
        fake_job(job, str(tmp_path / 'out'), 'last')
    results, files = run_matrix(
        spec_of(tmp_path), tmp_path / 'out', 2, command='again', function=run_job
    )
    assert len(order(tmp_path / 'out')) == len(jobs) == len(results.runs)
    assert results.failed.empty and '`again`' in files[0].read_text()
