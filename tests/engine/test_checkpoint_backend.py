"""Checkpoints are whole or absent."""

import errno
import os
from pathlib import Path

import pytest
from mmengine.fileio import get_file_backend

from urbancross_mm.engine import find_resumable
from urbancross_mm.utils import files


def test_a_failed_write_keeps_the_old_file_and_names_the_path(tmp_path: Path, monkeypatch) -> None:
    backend = get_file_backend(str(tmp_path), backend_args=dict(backend='atomic'))
    target = tmp_path / 'epoch_1.pth'
    backend.put(b'old', target)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(files.os, 'fsync', full)
    with pytest.raises(OSError, match=r'epoch_1\.pth.*--resume'):
        backend.put(b'new' * 100, target)
    assert target.read_bytes() == b'old'
    assert [p.name for p in tmp_path.iterdir()] == ['epoch_1.pth']


def test_a_reader_never_sees_half_a_file(tmp_path: Path, monkeypatch) -> None:
    target = tmp_path / 'epoch_1.pth'
    seen = []
    real = os.replace
    monkeypatch.setattr(
        files.os, 'replace', lambda a, b: (seen.append(target.exists()), real(a, b))
    )
    files.atomic_write(target, b'whole')
    assert seen == [False] and target.read_bytes() == b'whole'


def test_find_resumable_survives_a_torn_pointer_and_a_moved_folder(tmp_path: Path) -> None:
    assert find_resumable(tmp_path) is None
    for number in (1, 2):
        path = tmp_path / f'epoch_{number}.pth'
        path.write_bytes(b'x')
        os.utime(path, (number, number))
    pointer = tmp_path / 'last_checkpoint'
    pointer.write_text('')
    assert find_resumable(tmp_path) == str(tmp_path / 'epoch_2.pth')
    pointer.write_text('/somewhere/else/epoch_1.pth')
    assert find_resumable(tmp_path) == str(tmp_path / 'epoch_1.pth')


def test_find_resumable_takes_the_later_of_both_kinds_and_only_what_a_run_writes(
    tmp_path: Path,
) -> None:
    for age, name in enumerate(
        (
            'iter_300.pth',
            'iter_90.pth',
            'epoch_4.pth',
            'epoch_final.pth',
            'epoch_12_old.pth',
            'iter_.pth',
            'epoch_9.pth.part',
            'best.pth',
        )
    ):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (age, age))
    assert find_resumable(tmp_path) == str(tmp_path / 'epoch_4.pth')
    os.utime(tmp_path / 'iter_300.pth', (99, 99))
    assert find_resumable(tmp_path) == str(tmp_path / 'iter_300.pth')
    (tmp_path / 'last_checkpoint').write_bytes(b'\xff\x00')
    assert find_resumable(tmp_path) == str(tmp_path / 'iter_300.pth')


def test_a_copied_folder_goes_on_with_its_own_checkpoint(tmp_path: Path) -> None:
    for name in ('old', 'new'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'epoch_2.pth').touch()
        (tmp_path / name / 'last_checkpoint').write_text(str(tmp_path / 'old' / 'epoch_2.pth'))
    assert find_resumable(tmp_path / 'new') == str(tmp_path / 'new' / 'epoch_2.pth')
    (tmp_path / 'new' / 'epoch_2.pth').unlink()  # CheckpointHook.out_dir
    assert find_resumable(tmp_path / 'new') == str(tmp_path / 'old' / 'epoch_2.pth')


def test_a_pointer_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'last_checkpoint')
    (tmp_path / 'epoch_1.pth').touch()
    assert find_resumable(tmp_path) == str(tmp_path / 'epoch_1.pth')
