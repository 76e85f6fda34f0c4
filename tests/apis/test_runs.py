"""Where an adaptation starts, and what happens where there is nothing to start from."""

import os
from pathlib import Path

import pytest
from mmengine.config import Config

from urbancross_mm.apis import resolve_start


def config(start: Path | str | None, **fields: object) -> Config:
    return Config(dict(model=dict(type='DomainAdaptiveRetriever'), load_from=None, **fields,
                       **({} if start is None else dict(start=str(start)))))


def test_a_recipe_without_a_start_stays_as_it_is() -> None:
    cfg = config(None)
    resolve_start(cfg)
    assert cfg.load_from is None and 'start' not in cfg.model


def test_the_model_starts_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / 'source.pth'
    path.touch()
    cfg = config(path)
    resolve_start(cfg)
    assert cfg.load_from == cfg.model.start == str(path)


def test_of_a_folder_it_takes_the_best(tmp_path: Path) -> None:
    for age, name in enumerate(('best_retrieval_mR_epoch_3.pth', 'epoch_4.pth')):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (age, age))
    cfg = config(tmp_path)
    resolve_start(cfg)
    assert cfg.load_from == cfg.model.start == str(tmp_path / 'best_retrieval_mR_epoch_3.pth')


def test_a_resumed_run_knows_its_start_and_goes_on_from_elsewhere(tmp_path: Path) -> None:
    """The selection needs the starting weights; the model has its own by now."""
    (tmp_path / 'source.pth').touch()
    cfg = config(tmp_path / 'source.pth', resume=True)
    cfg.load_from = 'work/epoch_2.pth'
    resolve_start(cfg)
    assert cfg.load_from == 'work/epoch_2.pth'
    assert cfg.model.start == str(tmp_path / 'source.pth')


@pytest.mark.parametrize('folder', [True, False])
def test_nothing_to_start_from(tmp_path: Path, folder: bool) -> None:
    start = tmp_path if folder else tmp_path / 'source.pth'
    with pytest.raises(FileNotFoundError, match=f'nothing to start .*no checkpoint.*{start}.*'
                                                'train the source model first.*start=PATH'):
        resolve_start(config(start))
