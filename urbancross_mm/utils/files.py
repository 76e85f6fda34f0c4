"""Writing files whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def atomic_write(path: str | Path, content: bytes | str) -> None:
    """Write a file beside its final name, then rename it into place.

    A reader sees the old file or the new one, never half of one, whenever the writer is killed.

    Args:
        path (str | Path): Final name; parent folders are made.
        content (bytes | str): Text is written as UTF-8.

    Raises:
        OSError: If writing fails; the temporary file is removed and ``path`` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    data = content.encode('utf-8') if isinstance(content, str) else content
    try:
        with open(temporary, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_outputs(paths: Iterable[str | Path]) -> None:
    """Stop before any work if a file cannot be written where it is asked for.

    Args:
        paths (Iterable): Final names of files.

    Raises:
        OSError: If a folder has the name of a file, or a file that of a folder above it, or
            nothing may be written there.
    """
    for path in map(Path, paths):
        if path.is_dir():
            raise IsADirectoryError(f'cannot write {path}: a folder has this name')
        for parent in path.absolute().parents:
            if parent.is_dir():
                if not os.access(parent, os.W_OK | os.X_OK):
                    raise PermissionError(f'cannot write {path}: no permission in {parent}')
                break
            if parent.exists() or parent.is_symlink():
                raise NotADirectoryError(f'cannot write {path}: {parent} is no folder')


def remove_leftovers_below(folder: str | Path) -> int:
    """Remove what :func:`atomic_write` leaves of a file when it is killed in the middle.

    Args:
        folder (str | Path): Searched with its subfolders; nobody may be writing there.

    Returns:
        int: Number of files removed.
    """
    found = [path for path in Path(folder).rglob('.*.tmp') if path.is_file()]
    for path in found:
        path.unlink()
    return len(found)
