"""A job's folder: what it holds, and when it may be gone on with."""

import json
from pathlib import Path

import pytest

from tests.experiments.fakes import fake_job, spec_of, write_configs
from urbancross_mm.experiments import Job, JobFolder, plan
from urbancross_mm.experiments.records import changed_settings


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return first_job(tmp_path)


def first_job(root: Path, name: str = 'source_a_seed0') -> Job:
    write_configs(root)
    return next(job for job in plan(spec_of(root)) if job.name == name)


def test_a_finished_job_says_what_it_was_and_what_it_tested(job: Job, tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / 'out', job)
    assert not folder.done and folder.metrics() is None and folder.record() == {}
    fake_job(job, str(tmp_path / 'out'), 'last')
    assert folder.done and folder.metrics()['retrieval/mR'] == 50
    record = json.loads((tmp_path / 'out/source_a_seed0/job.json').read_text())
    assert record['tests'] == {'source': dict(checkpoint='source_a_seed0.pth', seconds=1.0)}
    assert record['train_seconds'] == 60 and record['seed'] == 0
    assert record['settings']['config']['epochs'] == 3
    assert set(record['versions']) == {'urbancross_mm', 'torch', 'python'}
    assert not list(folder.path.glob('.*'))
    folder.check()


def test_another_setting_is_refused_and_named(job: Job, tmp_path: Path) -> None:
    fake_job(job, str(tmp_path / 'out'), 'last')
    config = tmp_path / 'a.py'
    config.write_text(config.read_text().replace('epochs = 3', 'epochs = 4'))
    new = JobFolder(tmp_path / 'out', next(iter(plan(spec_of(tmp_path)))))
    assert new.outdated
    with pytest.raises(
        ValueError,
        match='source_a_seed0 was made with other settings '
        r'\(config.epochs was 3 and is 4\).*--force',
    ):
        new.check()
    new.clear()
    new.check()


def test_a_folder_of_somebody_else_is_left_alone(job: Job, tmp_path: Path) -> None:
    (tmp_path / 'out/source_a_seed0').mkdir(parents=True)
    JobFolder(tmp_path / 'out', job).check()
    (tmp_path / 'out/source_a_seed0/thesis.tex').touch()
    with pytest.raises(ValueError, match='thesis.tex and no job.json'):
        JobFolder(tmp_path / 'out', job).check()


def test_a_damaged_record_is_named(job: Job, tmp_path: Path) -> None:
    fake_job(job, str(tmp_path), 'last')
    (tmp_path / 'source_a_seed0/job.json').write_text('{')
    with pytest.raises(ValueError, match='job.json is damaged'):
        JobFolder(tmp_path, job).check()


def test_an_error_stands_until_the_next_attempt(job: Job, tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / 'out', job)
    folder.fail('the disk is full')
    assert folder.error == 'the disk is full'
    folder.check()
    folder.begin()
    assert folder.error is None


def test_selections_lie_side_by_side(tmp_path: Path) -> None:
    adapted = first_job(tmp_path, 'plain_a2b_seed0')
    names = {
        select: JobFolder(tmp_path, adapted, select).metrics_file.name
        for select in ('last', 'best', 'label_free', 'target/mR')
    }
    assert names == {
        'last': 'metrics.json',
        'best': 'metrics_best.json',
        'label_free': 'metrics_label_free.json',
        'target/mR': 'metrics_target_mR.json',
    }
    # The source models and their tests do not depend on it.
    source = first_job(tmp_path, 'source-only_a2b_seed0')
    assert JobFolder(tmp_path, source, 'best').metrics_file.name == 'metrics.json'


def test_changed_settings_walks_lists_and_holes() -> None:
    old = dict(a=[1, dict(b=2)], c=None, same=[])
    new = dict(a=[1, dict(b=3)], d='x', same=[])
    assert changed_settings(old, new) == [
        'a.1.b was 2 and is 3',
        "c was None and is 'nothing'",
        "d was 'nothing' and is 'x'",
    ]
