"""Rows of windows survive what happens to a run."""

import os
from pathlib import Path

import numpy as np
import pytest

from urbancross_mm.inference.localization.window_store import WindowStore, folder_of
from urbancross_mm.utils.hashing import FileStamp

STAMP = FileStamp(1, 2, 3, 'a' * 32)
ROWS = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
YES = np.ones(10, bool)


def store(folder: Path, stamp: FileStamp = STAMP, **settings: object) -> WindowStore:
    return WindowStore(folder, dict(model='m', **settings), stamp, 10, 4)


def test_rows_come_back(tmp_path: Path) -> None:
    first = store(tmp_path / 'new')
    assert first.rows().shape == (10, 4) and not first.rows().any()
    some = np.array([1, 2, 5, 9])
    first.write(some, ROWS[some], np.array([1, 0.5, 0, 1e-9]))
    for again in (first, store(tmp_path / 'new')):
        assert again.states.tolist() == [0, 255, 128, 0, 0, 1, 0, 0, 0, 2] and not again.dropped
        shares = again.shares(slice(0, 10))
        assert shares.tolist() == [0, 1, 0.5, 0, 0, 0, 0, 0, 0, 1 / 254]
        assert again.lacking(np.arange(3, 7)).tolist() == [3, 4, 6]
        assert np.array_equal(again.rows()[some], ROWS[some].astype('f2'))
        assert not again.rows()[0].any()


def test_a_row_counts_once_its_state_is_written(tmp_path: Path) -> None:
    first = store(tmp_path)
    first.write(np.arange(3), ROWS[:3], YES[:3])
    (tmp_path / 'states.u8').write_bytes(bytes([255, 255] + [0] * 8))  # killed between the two
    again = store(tmp_path)
    assert again.states.tolist() == [255, 255] + [0] * 8
    again.write(np.arange(2, 10), ROWS[2:], YES[2:])
    assert np.array_equal(store(tmp_path).rows(), ROWS.astype('f2'))


@pytest.mark.parametrize('change', ['raster', 'settings', 'states', 'embeds', 'emptied', 'json'])
def test_rows_of_something_else_are_dropped(tmp_path: Path, change: str) -> None:
    store(tmp_path).write(np.arange(10), ROWS, YES)
    stamp = STAMP._replace(digest='b' * 32) if change == 'raster' else STAMP
    if change == 'states':
        (tmp_path / 'states.u8').write_bytes(b'\1' * 9)
    if change == 'embeds':
        (tmp_path / 'embeds.f16').write_bytes(b'\1' * 79)
    if change == 'emptied':
        (tmp_path / 'embeds.f16').write_bytes(b'')
    if change == 'json':
        (tmp_path / 'windows.json').write_text('{"torn')
    again = store(tmp_path, stamp, **(dict(sides=[8]) if change == 'settings' else {}))
    assert not again.states.any() and not again.rows().any()
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
        assert kept.states.tolist() == [255] * 4 + [0] * 6
        assert np.array_equal(kept.rows()[:4], ROWS[:4].astype('f2'))


def test_rows_of_another_width_are_dropped(tmp_path: Path) -> None:
    store(tmp_path).write(np.arange(10), ROWS, YES)
    other = WindowStore(tmp_path, dict(model='m'), STAMP, 10, 2)
    assert other.dropped and not other.states.any() and other.rows().shape == (10, 2)


@pytest.mark.parametrize('change', ['before', 'meanwhile', 'gone', 'error', 'touched', None])
def test_rows_of_a_raster_that_changes_are_not_kept(tmp_path: Path, change: str | None) -> None:
    raster, folder = tmp_path / 'city.tif', tmp_path / 'kept'
    raster.write_bytes(b'old')
    kept = store(folder, FileStamp.of(raster))
    kept.write(np.arange(4), ROWS[:4], YES[:4])

    def work() -> None:
        with kept.reading(raster):
            kept.write(np.arange(4, 10), ROWS[4:], YES[4:])
            if change == 'gone':
                raster.unlink()
            elif change == 'touched':
                os.utime(raster, (1, 1))
            elif change:
                raster.write_bytes(b'new')
            if change == 'error':
                raise OSError('torn')

    if change == 'before':
        raster.write_bytes(b'another')
    if change in ('touched', None):
        work()
    else:
        with pytest.raises(ValueError, match='changed'):
            work()
    expected = [True] * 4 + [change in ('touched', None)] * 6
    assert (kept.states > 0).tolist() == expected
    raster.write_bytes(b'old')
    assert (store(folder, FileStamp.of(raster)).states > 0).tolist() == expected


def test_rows_of_another_process_are_not_mistaken_for_ones_own(tmp_path: Path) -> None:
    first = store(tmp_path)
    first.write(np.arange(10), ROWS, YES)
    store(tmp_path, STAMP._replace(digest='b' * 32)).write(np.arange(10), -ROWS, YES)
    assert np.array_equal(first.rows(), ROWS.astype('f2'))
