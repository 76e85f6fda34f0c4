"""Writing files whole or not at all."""

from __future__ import annotations

import os
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


def check_writable(path: str | Path) -> None:
    """Find out before the work whether its result can be written.

    Args:
        path (str | Path): The file to be; its folder need not be there yet.

    Raises:
        IsADirectoryError: If it is a folder.
        NotADirectoryError: If its folder, or one above, is a file.
        PermissionError: If nothing may be written there.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f'cannot write {path}: it is a folder')
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise NotADirectoryError(f'cannot write {path}: {above} is a file')
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(f'cannot write {path}: no permission to write in {above}')


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
