"""A file backend that never leaves half a checkpoint behind."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from urbancross_mm.utils.files import atomic_write


@register_backend('atomic')
class AtomicBackend(LocalBackend):
    """Local files, written whole or not at all.

    mmengine writes a checkpoint straight to its final name, so a run that is killed meanwhile
    leaves a torn file where the next run looks for one. This backend writes beside it and renames.
    Use it through ``default_hooks.checkpoint.backend_args = dict(backend='atomic')``.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file, atomically.

        Args:
            obj (bytes): What to write.
            filepath (str | Path): Where to; parent folders are made.

        Raises:
            OSError: If the file cannot be written. For a full disk the message names the path,
                the size needed and the space left; an older file of that name stays as it was.
        """
        try:
            atomic_write(filepath, obj)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            free = shutil.disk_usage(Path(filepath).parent).free
            raise OSError(
                error.errno,
                f'no space left for the checkpoint {filepath}: it needs {len(obj) / 1e6:.1f} MB, '
                f'{free / 1e6:.1f} MB are free. Earlier checkpoints are whole: free some space '
                'and run again with --resume',
            ) from error


def remove_leftovers(work_dir: str | Path) -> int:
    """Delete what a run that was killed while writing a checkpoint left behind.

    Args:
        work_dir (str | Path): Of a run that is not running.

    Returns:
        int: How many files there were.
    """
    leftovers = list(Path(work_dir).glob('.*.pth.*.tmp'))
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


def find_resumable(work_dir: str | Path) -> str | None:
    """Find the checkpoint to resume from, also when the pointer file is torn or the folder moved.

    Args:
        work_dir (str | Path): A run's work directory.

    Returns:
        str | None: What ``last_checkpoint`` names if it exists, in this folder first, else the
        ``epoch_*.pth`` or ``iter_*.pth`` of the highest number (of both kinds, the later file),
        else None.
    """
    work_dir = Path(work_dir)
    pointer = work_dir / 'last_checkpoint'
    with contextlib.suppress(OSError, ValueError):
        named = pointer.read_text().strip() if pointer.is_file() else ''  # a pipe would wait
        # A copied folder still names its original; CheckpointHook.out_dir is another folder.
        for candidate in (work_dir / Path(named).name, Path(named)):
            if named and candidate.is_file():
                return str(candidate)
    latest: dict[str, Path] = {}
    for path in work_dir.glob('*.pth'):
        kind, _, number = path.stem.partition('_')
        if kind in ('epoch', 'iter') and number.isdecimal() and path.is_file():
            latest[kind] = max(
                latest.get(kind, path), path, key=lambda p: int(p.stem.split('_')[1])
            )
    return str(max(latest.values(), key=os.path.getmtime)) if latest else None
