"""Rows of windows survive what happens to a run."""

from pathlib import Path

import numpy as np
import pytest

from urbancross_mm.inference.localization.window_store import WindowStore, folder_of
from urbancross_mm.utils.hashing import FileStamp

STAMP = FileStamp(1, 2, 3, 'a' * 32)
ROWS = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
YES = np.ones(10, bool)


def store(folder: Path, stamp: FileStamp = STAMP, **settings: object) -> WindowStore:
    return WindowStore(folder, dict(model='m', **settings), stamp, 10)


def test_rows_come_back(tmp_path: Path) -> None:
    first = store(tmp_path / 'new')
    assert first.rows().shape == (10, 0)
    some = np.array([1, 2, 5, 9])
    first.write(some, ROWS[some], np.array([True, True, False, True]))
    for again in (first, store(tmp_path / 'new')):
        assert again.states.tolist() == [0, 1, 1, 0, 0, 2, 0, 0, 0, 1] and not again.dropped
        assert np.array_equal(again.rows()[some], ROWS[some].astype('f2'))
        assert not again.rows()[0].any()


def test_a_row_counts_once_its_state_is_written(tmp_path: Path) -> None:
    first = store(tmp_path)
    first.write(np.arange(3), ROWS[:3], YES[:3])
    (tmp_path / 'states.u8').write_bytes(bytes([1, 1] + [0] * 8))  # killed between the two
    again = store(tmp_path)
    assert again.states.tolist() == [1, 1] + [0] * 8
    again.write(np.arange(2, 10), ROWS[2:], YES[2:])
    assert np.array_equal(store(tmp_path).rows(), ROWS.astype('f2'))


@pytest.mark.parametrize('change', ['raster', 'settings', 'states', 'embeds', 'json'])
def test_rows_of_something_else_are_dropped(tmp_path: Path, change: str) -> None:
    store(tmp_path).write(np.arange(10), ROWS, YES)
    stamp = STAMP._replace(digest='b' * 32) if change == 'raster' else STAMP
    if change == 'states':
        (tmp_path / 'states.u8').write_bytes(b'\1' * 9)
    if change == 'embeds':
        (tmp_path / 'embeds.f16').write_bytes(b'\1' * 79)
    if change == 'json':
        (tmp_path / 'windows.json').write_text('{"torn')
    again = store(tmp_path, stamp, **(dict(sides=[8]) if change == 'settings' else {}))
    assert not again.states.any() and again.rows().shape == (10, 0)
    assert again.dropped == (change != 'json')


def test_a_copy_of_the_raster_keeps_its_rows(tmp_path: Path) -> None:
    store(tmp_path).write(np.arange(10), ROWS, YES)
    assert store(tmp_path, STAMP._replace(mtime_ns=77)).states.all()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='file'):
        store(tmp_path / 'file' / 'inside')


def test_every_setting_has_its_own_folder(tmp_path: Path) -> None:
    raster = tmp_path / 'city.tif'
    one, other = (folder_of(raster, dict(model=name), None) for name in 'ab')
    assert one != other and one.parent == tmp_path and one.name.startswith('city.tif.')
    assert folder_of(raster, dict(model='a'), tmp_path / 'kept').parent == tmp_path / 'kept'


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = store(tmp_path)
    first.write(np.arange(4), ROWS[:4], YES[:4])

    def full(_: int) -> None:
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr('os.fsync', full)
        with pytest.raises(OSError, match='No space'):
            first.write(np.arange(4, 10), ROWS[4:], YES[4:])
    for kept in (first, store(tmp_path)):
        assert kept.states.tolist() == [1] * 4 + [0] * 6
        assert np.array_equal(kept.rows()[:4], ROWS[:4].astype('f2'))
