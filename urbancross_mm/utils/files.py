"""Writing files whole or not at all, one process per folder; archives that claim too much."""

from __future__ import annotations

import contextlib
import fcntl
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from urbancross_mm.utils.paths import LONGEST_NAME


def atomic_write(path: str | Path, content: bytes | str) -> None:
    """Write a file beside its final name, then rename it into place.

    A reader sees the old file or the new one, never half a file, even if the writer is killed.

    Args:
        path (str | Path): Final name; parent folders are made.
        content (bytes | str): Text is written as UTF-8.

    Raises:
        OSError: If writing fails; the temporary file is removed and ``path`` stays as it was.
    """
    write_all({path: content})


def write_all(contents: Mapping[str | Path, bytes | str]) -> None:
    """Write several files, all or none. They are renamed into place once all are on disk.

    Args:
        contents (Mapping): Content of each file by its final name; parent folders are made, text
            is written as UTF-8.

    Raises:
        OSError: If writing fails; every file stays as it was, and no new folder is left.
    """
    check_outputs(contents)
    temporaries: dict[Path, Path] = {}
    made: list[Path] = []
    try:
        for name, content in contents.items():
            path = Path(os.path.realpath(name))  # a link stays one, and leads to the new file
            made += _make_folders(path.parent)
            temporaries[path] = _temporary(path)
            _write(
                temporaries[path], content.encode('utf-8') if isinstance(content, str) else content
            )
        for path, temporary in temporaries.items():
            os.replace(temporary, path)
    except BaseException:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)
        for folder in reversed(made):
            if not any(folder.iterdir()):
                folder.rmdir()
        raise


def check_outputs(paths: Iterable[str | Path]) -> None:
    """Stop before any work if an output cannot be written.

    Args:
        paths (Iterable): Final names of files; their folders need not be there yet.

    Raises:
        OSError: If a path is a folder, a device or a pipe, a parent is not a folder, a name is too
            long, or permission is missing.
    """
    for path in map(Path, paths):
        if len(os.fsencode(_temporary(path).name)) > LONGEST_NAME:
            raise OSError(f'cannot write {path.name[:60]}...: the name is too long')
        if path.is_dir():
            raise IsADirectoryError(f'cannot write {path}: a folder has this name')
        if path.exists() and not path.is_file():
            # The file is renamed into place: /dev/null would be a file from then on.
            raise FileExistsError(f'cannot write {path}: it is a device or a pipe, not a file')
        above = next(
            folder for folder in path.absolute().parents if folder.exists() or folder.is_symlink()
        )
        if not above.is_dir():
            raise NotADirectoryError(f'cannot write {path}: {above} is not a folder')
        if not os.access(above, os.W_OK | os.X_OK):
            raise PermissionError(f'cannot write {path}: no permission to write in {above}')


def remove_leftovers_below(folder: str | Path) -> int:
    """Remove the temporary files of an :func:`atomic_write` that was killed.

    Args:
        folder (str | Path): Searched with its subfolders; nobody may be writing there.

    Returns:
        int: Number of files removed.
    """
    leftovers = [path for path in Path(folder).rglob('.*.tmp') if path.is_file()]
    for path in leftovers:
        path.unlink()
    return len(leftovers)


@contextlib.contextmanager
def file_lock(out: str | Path) -> Iterator[None]:
    """Hold a folder for this process; a second process would overwrite its files.

    Args:
        out (str | Path): The folder; made if need be.

    Raises:
        ValueError: If another process is in it.
    """
    Path(out).mkdir(parents=True, exist_ok=True)
    with open(Path(out) / '.lock', 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(
                f'another process is working in {out}: wait for it, or take another folder'
            ) from error
        yield


def check_archive_size(path: str | Path, what: str, most: float = 1.0) -> None:
    """Refuse a zip archive that would unpack to much more than its size.

    Args:
        path (str | Path): The file.
        what (str): What it is, for the message: 'the checkpoint'.
        most (float): Unpacked bytes per byte of the file. Defaults to 1.0: nothing is compressed.

    Raises:
        ValueError: If it would unpack to more.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except Exception:  # another format, or damaged: its reader reports that
        return
    length = Path(path).stat().st_size
    if size > most * length:
        raise ValueError(
            f'cannot read {what} {path}: it has {length} bytes and claims to hold {size}'
        )


def _temporary(path: Path) -> Path:
    return path.with_name(f'.{path.name}.{os.getpid()}.tmp')


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and its parents; returns the new ones, outermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()][::-1]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _write(path: Path, data: bytes) -> None:
    with open(path, 'wb') as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
