"""Running the plan: order, resuming, failures, workers that die, Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.experiments.fakes import dying_job, fake_job, order, spec_of, write_configs
from tests.runs import ROOT
from urbancross_mm.experiments import Job, JobFolder, plan, run_jobs
from urbancross_mm.utils.files import file_lock


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    write_configs(tmp_path)
    return plan(spec_of(tmp_path))


def thread(threads: int | None) -> Executor:
    return ThreadPoolExecutor(1)


def run(jobs: Sequence[Job], out: Path, workers: int = 1, **kwargs: object) -> list[str]:
    return run_jobs(jobs, out, workers=workers, function=fake_job, make_worker=thread, **kwargs)


@pytest.mark.parametrize('workers', [1, 3])
def test_everything_runs_once_after_what_it_needs(
    jobs: list[Job], tmp_path: Path, workers: int
) -> None:
    out = tmp_path / 'out'
    assert run(jobs, out, workers) == []
    ran = order(out)
    assert sorted(ran) == sorted(job.name for job in jobs)
    assert all(job.needs is None or ran.index(job.needs) < ran.index(job.name) for job in jobs)
    assert run(jobs, out, workers) == [] and order(out) == ran


def test_a_later_call_does_what_is_missing(jobs: list[Job], tmp_path: Path) -> None:
    out = tmp_path / 'out'
    run(jobs[:5], out)
    first = order(out)
    run(jobs, out)
    assert order(out)[:5] == first and len(order(out)) == len(jobs)
    JobFolder(out, jobs[-1]).metrics_file.unlink()
    run(jobs, out)
    assert order(out)[len(jobs) :] == [jobs[-1].name]


def test_a_failure_is_recorded_and_the_rest_goes_on(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv('FAKE_FAILURE', 'source_b_seed0')
    failed = run(jobs, tmp_path / 'out', workers=2)
    assert set(failed) == {job.name for job in jobs if job.source == 'b'}
    errors = {job.name: JobFolder(tmp_path / 'out', job).error for job in jobs}
    assert errors['source_b_seed0'] == 'no luck'
    assert errors['plain_b2a_seed0'] == 'it starts from source_b_seed0, which failed'
    assert errors['plain_a2b_seed0'] is None
    assert 'failed: source_b_seed0: no luck' in capsys.readouterr().err
    monkeypatch.delenv('FAKE_FAILURE')
    assert run(jobs, tmp_path / 'out') == []
    assert not any(JobFolder(tmp_path / 'out', job).error for job in jobs)


def test_an_exception_of_a_job_is_its_failure(jobs: list[Job], tmp_path: Path) -> None:
    def broken(job: Job, out: str, select: str) -> None:
        raise OSError('disk on fire')

    failed = run_jobs(jobs[:2], tmp_path / 'out', function=broken, make_worker=thread)
    assert len(failed) == 2
    assert JobFolder(tmp_path / 'out', jobs[0]).error == 'OSError: disk on fire'


def test_force_does_again_only_what_changed(jobs: list[Job], tmp_path: Path) -> None:
    out = tmp_path / 'out'
    run(jobs, out)
    config = tmp_path / 'a2b.py'
    config.write_text(config.read_text() + 'note = 1\n')
    changed = plan(spec_of(tmp_path))
    with pytest.raises(ValueError, match='plain_a2b_seed0'):
        run(changed, out)
    assert len(order(out)) == len(jobs)
    run(changed, out, force=True)
    assert order(out)[len(jobs) :] == ['plain_a2b_seed0']


def test_two_calls_do_not_share_a_folder(jobs: list[Job], tmp_path: Path) -> None:
    with file_lock(tmp_path / 'out'), pytest.raises(ValueError, match='another process'):
        run(jobs, tmp_path / 'out')
    assert run(jobs, tmp_path / 'out') == []


def test_at_least_one_worker(jobs: list[Job], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='at least 1, got 0'):
        run(jobs, tmp_path / 'out', workers=0)


@pytest.mark.slow
def test_a_worker_that_dies_takes_only_its_job_along(
    jobs: list[Job], tmp_path: Path, forked_workers: None
) -> None:
    wanted = [
        job for job in jobs if job.name in ('source_a_seed0', 'plain_a2b_seed0', 'plain_a2c_seed0')
    ]
    assert run_jobs(wanted, tmp_path / 'out', function=dying_job) == ['plain_a2b_seed0']
    assert 'was killed' in JobFolder(tmp_path / 'out', wanted[1]).error
    assert JobFolder(tmp_path / 'out', wanted[2]).done


SCRIPT = """
import sys
from pathlib import Path

if __name__ == '__main__':
    import urbancross_mm
    from tests.experiments.fakes import fake_job, spec_of
    from urbancross_mm.experiments import run_matrix
    from urbancross_mm.utils.cli import run_tool

    root = Path(sys.argv[1])
    run_tool(lambda: print(run_matrix(spec_of(root), root / 'out', 2, function=fake_job)))
"""


def group_ends(group: int, seconds: float = 20) -> bool:
    """Whether no process of a group is left after a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.2)
    return False


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_still_reports(tmp_path: Path) -> None:
    write_configs(tmp_path)
    (tmp_path / 'script.py').write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, '-W', 'ignore', str(tmp_path / 'script.py'), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A test run in the background may ignore Ctrl-C, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env=dict(os.environ, PYTHONPATH=str(ROOT), FAKE_SLEEP='source_a_seed0'),
    )
    until = time.monotonic() + 200
    while len(order(tmp_path / 'out')) < 9 and time.monotonic() < until:
        time.sleep(0.2)
    # As a terminal does: to every process of the group.
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and errors.strip().endswith('interrupted')
    assert 'Traceback' not in errors
    assert group_ends(process.pid)
    report = (tmp_path / 'out/matrix.md').read_text()
    assert '| a | not run | not run | not run |' in report and '50.00' in report


KILLED = """
import multiprocessing, os, signal, time


def load(path):
    # As torch's loaders do in a worker of the matrix.
    multiprocessing.get_context('fork').Process(target=time.sleep, args=(600,)).start()
    open(path, 'w').close()
    time.sleep(600)


if __name__ == '__main__':
    import sys
    from urbancross_mm.experiments.pool import spawned_worker

    spawned_worker().submit(load, sys.argv[1])
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_nothing_outlives_a_matrix_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / 'script.py').write_text(KILLED)
    process = subprocess.Popen(
        [sys.executable, '-W', 'ignore', str(tmp_path / 'script.py'), str(tmp_path / 'begun')],
        start_new_session=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )
    assert process.wait(timeout=120) == -signal.SIGKILL
    assert group_ends(process.pid)
