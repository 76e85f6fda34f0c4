"""A file is the same if its bytes are, whatever its name and its times."""

import os
import shutil
from pathlib import Path

import pytest

from urbancross_mm.utils.file_stamp import FileStamp, same_image


def test_a_file_that_was_not_touched_is_not_read(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / 'a'
    path.write_bytes(b'content')
    stamp = FileStamp.of(path)
    monkeypatch.setattr(FileStamp, 'of', None)
    assert stamp.renewed(path) is stamp
    path.write_bytes(b'longer content')
    assert stamp.renewed(path) is None


def test_times_alone_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / 'a'
    path.write_bytes(b'content')
    stamp = FileStamp.of(path)
    os.utime(path, ns=(1, 1))
    shutil.copy(path, tmp_path / 'b')
    for place in (path, tmp_path / 'b'):
        now = stamp.renewed(place)
        assert now is not None and now.digest == stamp.digest and now.renewed(place) is now


def test_a_replaced_file_of_equal_size_and_time_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / 'a'
    path.write_bytes(b'before')
    stamp = FileStamp.of(path)
    times = path.stat()
    path.write_bytes(b'after!')
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_mtime_ns == stamp.mtime_ns and path.stat().st_size == stamp.size
    assert stamp.renewed(path) is None


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / 'a'
    path.write_bytes(b'x')
    stamp = FileStamp.of(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        stamp.renewed(path)


def test_same_image(tmp_path: Path) -> None:
    (tmp_path / 'a').write_text('x')
    (tmp_path / 'b').write_text('y')
    shutil.copy(tmp_path / 'a', tmp_path / 'c')
    assert same_image(str(tmp_path / 'a'), str(tmp_path / 'c'))
    assert not same_image(str(tmp_path / 'a'), str(tmp_path / 'b'))
    assert not same_image(str(tmp_path / 'a'), str(tmp_path / 'gone'))
    assert same_image(str(tmp_path / 'gone'), str(tmp_path / 'x/../gone'))
