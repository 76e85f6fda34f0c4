"""No run and no program runs what a checkpoint carries."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from tests.carriers import Carrier
from tests.runs import reset_mmengine_state, run, small_config
from urbancross_mm.apis import (
    RetrievalInferencer,
    build_runner,
    resolve_source_checkpoint,
    set_resume,
)
from urbancross_mm.curation.captions.scorers import RetrieverScorer
from urbancross_mm.models.adaptation.snapshot import FrozenSnapshot

CONFIG = 'urbancross_finland_no-segments.py'


@pytest.fixture(scope='module')
def trained(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """A whole checkpoint of a small run."""
    folder = tmp_path_factory.mktemp('trained')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(sample_dir)
        run(config(folder))
    return torch.load(folder / 'epoch_1.pth', weights_only=False)


def config(work_dir: Path) -> Config:
    return small_config(CONFIG, work_dir, **{'train_cfg.max_epochs': 1})


def start(cfg: Config, train: bool) -> None:
    reset_mmengine_state()
    runner = build_runner(cfg)
    runner.train() if train else runner.test()


def load_from(path: Path) -> None:
    cfg = config(path.parent / 'work')
    cfg.load_from = str(path)
    start(cfg, train=True)


def resume(path: Path) -> None:
    cfg = config(path.parent / 'work')
    set_resume(cfg, str(path))
    start(cfg, train=True)


def resume_folder(path: Path) -> None:
    cfg = config(path.parent)
    path.rename(path.parent / 'epoch_1.pth')
    try:
        set_resume(cfg, 'auto')
        start(cfg, train=True)
    finally:
        (path.parent / 'epoch_1.pth').rename(path)


def test(path: Path) -> None:
    cfg = config(path.parent / 'work')
    cfg.load_from = str(path)
    start(cfg, train=False)


test.__test__ = False


def by_the_runner_alone(path: Path) -> None:
    """As a program of one's own does."""
    cfg = config(path.parent / 'work')
    cfg.load_from = str(path)
    reset_mmengine_state()
    Runner.from_cfg(cfg).test()


def adaptation(path: Path) -> None:
    cfg = small_config('adapt.py', path.parent / 'work', METHOD='plain')
    cfg.model.adaptation.source_checkpoint = str(path)
    resolve_source_checkpoint(cfg)
    start(cfg, train=True)


def resumed_adaptation(path: Path) -> None:
    cfg = small_config('adapt.py', path.parent / 'work', METHOD='plain')
    cfg.model.adaptation.source_checkpoint = str(path)
    cfg.resume, cfg.load_from = True, str(path)
    resolve_source_checkpoint(cfg)


def snapshot(path: Path) -> None:
    FrozenSnapshot(path).retriever(torch.nn.Linear(2, 2))


def init_cfg(path: Path) -> None:
    cfg = config(path.parent / 'work')
    cfg.model.image_encoder.init_cfg = dict(type='Pretrained', checkpoint=str(path))
    start(cfg, train=True)


def inferencer(path: Path) -> None:
    RetrievalInferencer(config(path.parent / 'work'), path, device='cpu')


def scorer(path: Path) -> None:
    cfg = config(path.parent / 'work')
    RetrieverScorer(
        cfg.model.to_dict(), cfg.test_dataloader.dataset.pipeline, checkpoint=str(path)
    ).begin('cpu')


PATHS: dict[str, Callable[[Path], None]] = {
    call.__name__: call
    for call in (
        load_from,
        resume,
        resume_folder,
        test,
        by_the_runner_alone,
        adaptation,
        resumed_adaptation,
        snapshot,
        init_cfg,
        inferencer,
        scorer,
    )
}


@pytest.mark.parametrize('key', ['note', 'optimizer', 'meta'])
@pytest.mark.parametrize('way', PATHS)
def test_no_way_in_runs_it(
    way: str, key: str, trained: dict, in_sample_dir: Path, tmp_path: Path
) -> None:
    mark, path = tmp_path / 'mark', tmp_path / 'x.pth'
    carried = Carrier('system', mark)
    torch.save({**trained, key: {**trained.get(key, {}), 'x': carried}}, path)
    with pytest.raises(ValueError, match=rf'{path.name}.*\w+\.system|epoch_1\.pth.*\w+\.system'):
        PATHS[way](path)
    assert not mark.exists()


def test_an_old_config_in_a_checkpoint_is_not_run(
    trained: dict, in_sample_dir: Path, tmp_path: Path
) -> None:
    """mmengine runs the text under this key when it resumes."""
    mark = tmp_path / 'mark'
    code = f'x = open({str(mark)!r}, "w").close()'
    torch.save({**trained, 'meta': {**trained['meta'], 'config': code}}, tmp_path / 'epoch_1.pth')
    cfg = config(tmp_path)
    cfg.train_cfg.max_epochs = 2
    set_resume(cfg, 'auto')
    start(cfg, train=True)
    assert (tmp_path / 'epoch_2.pth').is_file() and not mark.exists()


def test_a_missing_checkpoint_is_said_before_a_model_is_built(
    in_sample_dir: Path, tmp_path: Path
) -> None:
    cfg = config(tmp_path)
    cfg.load_from, cfg.model.type = 'nothing.pth', 'Nothing'
    with pytest.raises(FileNotFoundError, match='nothing.pth'):
        build_runner(cfg)
