"""A second training does not mix with the first."""

from pathlib import Path

import pytest
from mmengine.config import Config

from urbancross_mm.apis import claim_work_dir, discard_failed_start

FILES = (
    'best_retrieval_mR_epoch_3.pth',
    'epoch_3.pth',
    'epoch_4.pth',
    'iter_9.pth',
    'last_checkpoint',
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a training leaves, and files that are not its checkpoints."""
    work = tmp_path / 'work'
    work.mkdir()
    for name in (*FILES, 'metrics.json', 'weights.pth'):
        (work / name).touch()
    return work


def config(folder: Path, **fields: object) -> Config:
    return Config(dict(dict(work_dir=str(folder), load_from=None, resume=False), **fields))


def test_a_new_folder_is_free(tmp_path: Path, folder: Path) -> None:
    assert claim_work_dir(config(tmp_path / 'new')) == []
    (tmp_path / 'logs').mkdir()
    (tmp_path / 'logs' / '20260101.log').touch()
    assert claim_work_dir(config(tmp_path / 'logs')) == []
    # Of another folder, weights are free to start from.
    assert claim_work_dir(config(tmp_path / 'new', load_from=str(folder / 'epoch_4.pth'))) == []


@pytest.mark.parametrize('name', FILES)
def test_any_checkpoint_is_an_earlier_training(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(
        FileExistsError,
        match=rf'{tmp_path} .*\({name}\).*--resume, .*--overwrite, .*--work-dir',
    ):
        claim_work_dir(config(tmp_path))


def test_to_overwrite_takes_all_of_it(folder: Path) -> None:
    with pytest.raises(FileExistsError, match=r'epoch_3.pth, epoch_4.pth, \.\.\.\)'):
        claim_work_dir(config(folder))
    result = claim_work_dir(config(folder), overwrite=True)
    assert sorted(path.name for path in result) == sorted(FILES)
    assert all(path.exists() for path in result)


def test_a_resumed_training_continues(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for given in (None, str(folder / 'epoch_3.pth')):
        assert claim_work_dir(config(folder, resume=True, load_from=given)) == []
    monkeypatch.chdir(tmp_path)
    assert claim_work_dir(config(Path('work'), resume=True, load_from='work/epoch_3.pth')) == []


def test_to_resume_from_elsewhere_is_another_training(folder: Path, tmp_path: Path) -> None:
    (tmp_path / 'epoch_1.pth').touch()
    cfg = config(folder, resume=True, load_from=str(tmp_path / 'epoch_1.pth'))
    with pytest.raises(FileExistsError, match=str(tmp_path / 'epoch_1.pth')):
        claim_work_dir(cfg)
    assert len(claim_work_dir(cfg, overwrite=True)) == len(FILES)


def test_what_it_starts_from_is_not_removed(folder: Path) -> None:
    cfg = config(folder, load_from=str(folder / 'best_retrieval_mR_epoch_3.pth'))
    with pytest.raises(ValueError, match='best_retrieval.* --overwrite'):
        claim_work_dir(cfg, overwrite=True)


def test_checkpoints_in_another_folder_are_resumed(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / 'epoch_9.pth'
    elsewhere.touch()
    (folder / 'last_checkpoint').write_text(str(elsewhere))
    assert claim_work_dir(config(folder, resume=True, load_from=str(elsewhere))) == []
    with pytest.raises(FileExistsError, match=str(tmp_path / 'other.pth')):
        claim_work_dir(config(folder, resume=True, load_from=str(tmp_path / 'other.pth')))


@pytest.mark.parametrize('written', [None, 'epoch_1.pth', '20260102_000000/vis_data/scalars.json'])
def test_a_failed_start_leaves_nothing_and_a_result_stays(written: str, tmp_path: Path) -> None:
    work = tmp_path / 'work'
    (tmp_path / 'a.py').touch()
    cfg = Config(dict(work_dir=str(work)), filename=str(tmp_path / 'a.py'))
    with pytest.raises(ValueError, match='the data'), discard_failed_start(cfg):
        for name in filter(None, ('20260102_000000/run.log', 'a.py', written)):
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).touch()
        raise ValueError('the data')
    assert work.exists() == (written is not None) == (work / 'a.py').exists()


def test_a_failed_start_keeps_what_was_there(folder: Path) -> None:
    before = set(folder.iterdir())
    with pytest.raises(ValueError, match='the data'), discard_failed_start(config(folder)):
        (folder / '20260102_000000').mkdir()
        raise ValueError('the data')
    assert set(folder.iterdir()) == before
