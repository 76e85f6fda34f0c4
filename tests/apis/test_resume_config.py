"""Which checkpoint a run resumes from."""

from pathlib import Path

import pytest
from mmengine.config import Config

from urbancross_mm.apis import set_resume


def config(work_dir: Path) -> Config:
    return Config(dict(work_dir=str(work_dir), resume=False, load_from='pretrained.pth'))


def test_without_resume_nothing_changes(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    set_resume(cfg, None)
    assert (cfg.resume, cfg.load_from) == (False, 'pretrained.pth')


def test_auto_takes_the_last_complete_checkpoint_and_removes_leftovers(tmp_path: Path) -> None:
    for name in ('epoch_1.pth', 'epoch_2.pth', 'best_mR_epoch_1.pth', '.epoch_3.pth.9.tmp'):
        (tmp_path / name).touch()
    cfg = config(tmp_path)
    set_resume(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / 'epoch_2.pth'))
    assert not list(tmp_path.glob('.*.tmp'))


def test_auto_without_a_checkpoint_starts_from_what_the_config_names(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    cfg = config(tmp_path)
    set_resume(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (False, 'pretrained.pth')
    assert str(tmp_path) in capsys.readouterr().out


def test_a_named_folder_stands_for_its_latest(tmp_path: Path) -> None:
    (tmp_path / 'epoch_4.pth').touch()
    cfg = config(tmp_path / 'new')
    set_resume(cfg, str(tmp_path))
    assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / 'epoch_4.pth'))
    with pytest.raises(FileNotFoundError, match='nothing.pth'):
        set_resume(cfg, 'nothing.pth')
