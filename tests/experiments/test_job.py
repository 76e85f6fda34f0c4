"""One job, for real on the sample; what adaptations start from; which checkpoint is tested."""

import json
import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tests.experiments.fakes import spec_of, write_configs
from tests.runs import CONFIGS
from urbancross_mm.apis import build_runner
from urbancross_mm.experiments import (
    Job,
    JobFolder,
    MatrixSpec,
    Template,
    plan,
    run_job,
    select_checkpoint,
)
from urbancross_mm.experiments.testing_data import add_label_free_scores

BUILD_RUNNER = 'urbancross_mm.experiments.job.build_runner'
SMALL = tuple(
    f'{phase}_dataloader.{setting}'
    for phase in ('train', 'val', 'test')
    for setting in ('num_workers=0', 'batch_size=8', 'dataset.indices=16')
) + ('train_cfg.max_epochs=2', 'train_cfg.val_interval=1')


def jobs_of_two_countries() -> dict[str, Job]:
    template = str(CONFIGS / 'urbancross_{source}_no-segments.py')
    spec = MatrixSpec(('finland', 'germany'), Template(template, SMALL), sample=True)
    return {job.name: job for job in plan(spec)}


class KillHook(Hook):
    """Stands for a crash in the second epoch."""

    def before_train_epoch(self, runner: Runner) -> None:
        """Raise."""
        if runner.epoch == 1:
            raise MemoryError('no memory\nleft')


def crashing(cfg: Config) -> Runner:
    runner = build_runner(cfg)
    runner.register_hook(KillHook())
    return runner


@pytest.mark.slow
def test_a_job_trains_tests_and_goes_on_after_a_crash(
    in_sample_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
) -> None:
    jobs = jobs_of_two_countries()
    source = jobs['source_finland_seed0']
    assert run_job(source, str(tmp_path / 'whole'), 'last') is None
    assert capfd.readouterr().out == ''
    whole = JobFolder(tmp_path / 'whole', source)
    assert whole.metrics()['retrieval/num_images'] == 8
    assert 'best_retrieval_mR_epoch_' in whole.record()['tests']['source']['checkpoint']
    assert 'Epoch(train) [2]' in (whole.path / 'console.log').read_text()

    parts = JobFolder(tmp_path / 'parts', source)
    with monkeypatch.context() as crash:
        crash.setattr(BUILD_RUNNER, crashing)
        assert run_job(source, str(tmp_path / 'parts'), 'last') == 'MemoryError: no memory left'
    assert parts.error == 'MemoryError: no memory left' and not parts.done
    assert 'Traceback' in (parts.path / 'console.log').read_text()
    assert run_job(source, str(tmp_path / 'parts'), 'last') is None
    assert parts.record()['resumed'] and parts.error is None
    assert parts.metrics() == whole.metrics()

    transfer = jobs['source-only_finland2germany_seed0']
    assert run_job(transfer, str(tmp_path / 'whole'), 'last') is None
    folder = JobFolder(tmp_path / 'whole', transfer)
    assert (
        folder.record()['tests']['source']['checkpoint']
        == whole.record()['tests']['source']['checkpoint']
    )
    assert folder.metrics() != whole.metrics()
    assert not list(folder.path.glob('*.pth'))


def write_checkpoints(folder: str | Path, *names: str) -> None:
    """Empty files, each a second younger than the one before."""
    for second, name in enumerate(names):
        (Path(folder) / f'{name}.pth').touch()
        os.utime(Path(folder) / f'{name}.pth', (second, second))


class FakeRunner:
    """Leaves the checkpoints of a training and measures nothing."""

    def __init__(self, cfg: Config) -> None:
        self.cfg = cfg

    def train(self) -> None:
        """Write the last checkpoint and the best ones of two metrics."""
        write_checkpoints(
            self.cfg.work_dir, 'best_label_free_mmd_epoch_4', 'best_retrieval_mR_epoch_3', 'epoch_5'
        )

    def test(self) -> dict[str, float]:
        """A score."""
        return {'retrieval/mR': 12.5}


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configs from which runners were built; none of them runs."""
    configs = []

    def build(cfg: Config) -> FakeRunner:
        configs.append(cfg)
        return FakeRunner(cfg)

    monkeypatch.setattr(BUILD_RUNNER, build)
    return configs


@pytest.fixture
def jobs(tmp_path: Path) -> dict[str, Job]:
    write_configs(tmp_path)
    return {job.name: job for job in plan(spec_of(tmp_path, seeds=(7,)))}


def test_an_adaptation_starts_from_the_best_of_its_source(
    jobs: dict[str, Job], built: list[Config], tmp_path: Path
) -> None:
    for name in ('source_a_seed7', 'plain_a2b_seed7'):
        assert run_job(jobs[name], str(tmp_path / 'out'), 'last') is None
    # A folder with label-free scores is that of an adaptation: its last one counts.
    best = str(tmp_path / 'out/source_a_seed7/epoch_5.pth')
    train, test = built[2:]
    assert train.load_from == train.model.adaptation.source_checkpoint == best
    assert not train.resume
    assert train.randomness.seed == 7
    assert Path(train.filename).name == 'a2b.py'
    folder = tmp_path / 'out/plain_a2b_seed7'
    assert (train.work_dir, test.work_dir) == (str(folder), str(folder / 'test'))
    assert (
        test.load_from == str(folder / 'epoch_5.pth')
        and 'source_checkpoint' not in test.model.adaptation
    )
    assert json.loads((folder / 'metrics.json').read_text()) == {'retrieval/mR': 12.5}


def test_every_test_logs_label_free_scores(
    jobs: dict[str, Job], built: list[Config], tmp_path: Path
) -> None:
    for name in ('source_a_seed7', 'source-only_a2b_seed7', 'plain_a2b_seed7'):
        before = jobs[name].config['test_evaluator']
        run_job(jobs[name], str(tmp_path / 'out'), 'last')
        assert [metric['type'] for metric in built[-1].test_evaluator] == [
            'RecallAtK',
            'LabelFreeMetric',
        ]
        assert jobs[name].config['test_evaluator'] == before  # nothing is made with other settings


@pytest.mark.parametrize(
    ('model', 'evaluator', 'expected'),
    [
        ('CrossModalRetriever', dict(type='RecallAtK'), ['RecallAtK', 'LabelFreeMetric']),
        ('AMFMN', dict(type='RecallAtK'), ['RecallAtK']),
        ('AMFMN', [dict(type='LabelFreeMetric')], ['LabelFreeMetric']),
    ],
)
def test_models_that_score_pairs_have_no_label_free_scores(
    model: str, evaluator: object, expected: list[str]
) -> None:
    cfg = Config(dict(model=dict(type=model), test_evaluator=evaluator))
    add_label_free_scores(cfg)
    metrics = cfg.test_evaluator
    assert [metric['type'] for metric in ([metrics] if isinstance(metrics, dict) else metrics)] == (
        expected
    )


def test_another_selection_tests_without_training_again(
    jobs: dict[str, Job], built: list[Config], tmp_path: Path
) -> None:
    run_job(jobs['source_a_seed7'], str(tmp_path / 'out'), 'last')
    for select in ('last', 'best', 'label_free', 'nothing'):
        error = run_job(jobs['plain_a2b_seed7'], str(tmp_path / 'out'), select)
    assert 'no checkpoint best_nothing*.pth' in error
    assert [Path(cfg.load_from).stem for cfg in built[3:]] == [
        'epoch_5',
        'best_retrieval_mR_epoch_3',
        'best_label_free_mmd_epoch_4',
    ]
    folder = tmp_path / 'out/plain_a2b_seed7'
    assert {file.name for file in folder.glob('metrics*')} == {
        'metrics.json',
        'metrics_best.json',
        'metrics_label_free.json',
    }


def test_a_half_trained_adaptation_resumes_instead_of_starting(
    jobs: dict[str, Job], built: list[Config], tmp_path: Path
) -> None:
    run_job(jobs['source_a_seed7'], str(tmp_path / 'out'), 'last')
    folder = tmp_path / 'out/plain_a2b_seed7'
    folder.mkdir()
    torch.save(dict(meta=dict(cfg='')), folder / 'epoch_2.pth')
    (folder / '.epoch_3.pth.99.tmp').touch()
    run_job(jobs['plain_a2b_seed7'], str(tmp_path / 'out'), 'last')
    train = built[2]
    assert train.resume and train.load_from == str(folder / 'epoch_2.pth')
    assert train.model.adaptation.source_checkpoint.startswith(str(tmp_path / 'out/source_a_seed7'))
    assert not list(folder.glob('.*.tmp'))


def test_a_config_without_retrieval_metrics_fails(
    jobs: dict[str, Job], built: list[Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeRunner, 'test', lambda self: {'accuracy': 1})
    error = run_job(jobs['source_a_seed7'], str(tmp_path / 'out'), 'last')
    assert error.endswith('gives no retrieval/mR, but accuracy')


def test_select_checkpoint(tmp_path: Path) -> None:
    write_checkpoints(
        tmp_path,
        'epoch_9',
        'best_retrieval_mR_epoch_2',
        'best_label_free_a_epoch_4',
        'best_label_free_b_epoch_1',
        'epoch_10',
        'best_retrieval_mR_epoch_7',
    )
    chosen = {
        select: Path(select_checkpoint(tmp_path, select)).stem
        for select in ('last', 'best', 'label_free_a', 'label/free/b', 'source')
    }
    assert chosen == {
        'last': 'epoch_10',
        'best': 'best_retrieval_mR_epoch_7',
        'label_free_a': 'best_label_free_a_epoch_4',
        'label/free/b': 'best_label_free_b_epoch_1',
        'source': 'epoch_10',
    }
    with pytest.raises(ValueError, match='best_label_free_a, best_label_free_b'):
        select_checkpoint(tmp_path, 'label_free')


@pytest.mark.parametrize('select', ['last', 'best', 'label_free', 'source'])
def test_no_checkpoint_to_select(tmp_path: Path, select: str) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        select_checkpoint(tmp_path, select)
