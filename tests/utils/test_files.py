"""Several files, all or none."""

from __future__ import annotations

import os

import pytest

from urbancross_mm.utils import files
from urbancross_mm.utils.files import atomic_write, check_outputs, write_all


def everything(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob('*')
    }


def test_all_are_written(tmp_path):
    write_all({tmp_path / 'a/b.txt': 'ü', str(tmp_path / 'c.bin'): b'\0'})

    assert everything(tmp_path) == {'a': None, 'a/b.txt': 'ü'.encode(), 'c.bin': b'\0'}


@pytest.mark.parametrize('failing', ['b.txt', 'sub/deep/c.txt'])
def test_none_is_written_if_one_fails(tmp_path, monkeypatch, failing):
    (tmp_path / 'a.txt').write_text('before')
    before = everything(tmp_path)

    def full(path, data, write=files._write):
        if failing.rpartition('/')[2] in path.name:
            write(path, data[:1])
            raise OSError(28, 'No space left on device')
        write(path, data)

    monkeypatch.setattr(files, '_write', full)
    with pytest.raises(OSError, match='No space left'):
        write_all({tmp_path / name: 'after' for name in ('a.txt', 'b.txt', 'sub/deep/c.txt')})
    assert everything(tmp_path) == before


def test_names_that_are_taken_are_found_before_the_first_write(tmp_path):
    (tmp_path / 'folder.json').mkdir()
    (tmp_path / 'file').write_text('mine')
    before = everything(tmp_path)

    for wrong, message in (
        ('folder.json', r'folder\.json: a folder has this name'),
        ('file/x/y.json', r'y\.json: .*file is not a folder'),
    ):
        with pytest.raises(OSError, match=message):
            write_all({tmp_path / 'new/a.json': '1', tmp_path / wrong: '2'})
        with pytest.raises(OSError, match=message):
            check_outputs([tmp_path / 'a.json', tmp_path / wrong])
        assert everything(tmp_path) == before


def test_a_killed_writer_leaves_the_old_file(tmp_path, monkeypatch):
    atomic_write(tmp_path / 'a.txt', 'old')

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'replace', killed)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / 'a.txt', 'new')
    assert everything(tmp_path) == {'a.txt': b'old'}


def test_a_name_that_is_too_long_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match='bbb'):
        write_all({tmp_path / 'o/a.json': 'a', tmp_path / 'o' / ('b' * 250): 'b'})
    assert not list(tmp_path.iterdir())


def test_a_pipe_is_no_file_to_replace(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(FileExistsError, match='pipe'):
        atomic_write(tmp_path / 'pipe', 'text')
    with pytest.raises(FileExistsError, match='/dev/null'):
        check_outputs(['/dev/null'])


def test_a_link_stays_one(tmp_path):
    (tmp_path / 'far').mkdir()
    (tmp_path / 'far/a.txt').write_text('old')
    (tmp_path / 'link').symlink_to(tmp_path / 'far/a.txt')
    atomic_write(tmp_path / 'link', 'new')
    assert (tmp_path / 'link').is_symlink()
    assert (tmp_path / 'far/a.txt').read_text() == 'new'
    assert sorted(everything(tmp_path)) == ['far', 'far/a.txt', 'link']
