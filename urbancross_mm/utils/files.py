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
