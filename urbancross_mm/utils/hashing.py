"""Identifying files by content: whether a file has changed, and which model a folder holds."""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

from urbancross_mm.utils.files import atomic_write

WEIGHT_SUFFIXES = ('.safetensors', '.bin', '.pt', '.pth')
# Configs, vocabularies and chat templates change what a model says as well.
MODEL_SUFFIXES = (*WEIGHT_SUFFIXES, '.json', '.txt', '.model', '.jinja')
_DIGEST = re.compile(r'[0-9a-f]{32}')
# Bytes from which a hash is remembered between runs: reading 30 GB of weights takes a minute.
LARGE = 2**26


class FileStamp(NamedTuple):
    """Size, times and hash of a file when it was read.

    Attributes:
        size: Bytes.
        mtime_ns: Time of the last change of the content, which programs can set.
        ctime_ns: Time of the last change of the entry, which they cannot.
        digest: Hash of the content, 32 hexadecimal digits.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    digest: str

    @classmethod
    def of(cls, path: str | Path) -> FileStamp:
        """Read a file.

        Args:
            path (str | Path): The file.

        Returns:
            FileStamp: Size and times from before it was read, so that a later change shows.

        Raises:
            OSError: If it cannot be read.
        """
        with open(path, 'rb') as file:
            state = os.fstat(file.fileno())
            digest = _digest(file)
        return cls(state.st_size, state.st_mtime_ns, state.st_ctime_ns, digest)

    def renewed(self, path: str | Path) -> FileStamp | None:
        """The stamp of the file as it is now, if its content has not changed.

        The content is read only if the size is the same and a time is not, as of a copy.

        Args:
            path (str | Path): The file, perhaps moved or copied.

        Returns:
            FileStamp | None: None if the content is another.

        Raises:
            OSError: If it cannot be read.
        """
        state = os.stat(path)
        if state.st_size != self.size:
            return None
        if (state.st_mtime_ns, state.st_ctime_ns) == (self.mtime_ns, self.ctime_ns):
            return self
        now = FileStamp.of(path)
        return now if now.digest == self.digest else None


def quick_stamp(path: str | Path) -> str:
    """Size and time of a file in one word, for records that need not survive a copy.

    Args:
        path (str | Path): The file.

    Returns:
        str: '' if the file cannot be looked at.
    """
    try:
        state = os.stat(path)
    except OSError:
        return ''
    return f'{state.st_size}-{state.st_mtime_ns}'


def same_image(first: str, second: str) -> bool:
    """Whether two paths lead to one image: the same file, or a copy of it.

    Args:
        first (str): A path.
        second (str): Another one.

    Returns:
        bool: False if they differ, or one is missing.
    """
    if first == second or os.path.realpath(first) == os.path.realpath(second):
        return True
    return (
        os.path.isfile(first)
        and os.path.isfile(second)
        and filecmp.cmp(first, second, shallow=False)
    )


def file_digest(path: str | Path) -> str:
    """Hash of a file's content. An unchanged file is read only once per process.

    Hashes of large files are also kept between runs, in ``$XDG_CACHE_HOME/urbancross_mm``
    (``~/.cache`` by default), by path, size and times of the last change.

    Args:
        path (str | Path): The file.

    Returns:
        str: 32 hexadecimal digits.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    state = os.stat(path)
    # The time of the last change of the entry cannot be set, as that of the content can.
    return _digest_of(os.path.abspath(path), state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def folder_digest(path: str | Path) -> str:
    """Hash of a model's folder: weights, configs and vocabularies, by relative name.

    Args:
        path (str | Path): The folder; hidden files and folders in it do not count, links do.

    Returns:
        str: 32 hexadecimal digits.
    """
    root, total = Path(path), hashlib.blake2b(digest_size=16)
    for file in sorted(_files_below(root)):
        if file.suffix in MODEL_SUFFIXES:
            name = file.relative_to(root).as_posix()
            total.update(f'{name}\0{file_digest(file)}\0'.encode(errors='surrogateescape'))
    return total.hexdigest()


def name_files(node: Any) -> Any:
    """Replace every local file and folder that a config names by a hash.

    Args:
        node (Any): Nested dicts and lists; a type stands for its name.

    Returns:
        Any: Plain JSON, the same on every machine that has the same files.
    """
    if isinstance(node, dict):
        return {str(key): name_files(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [name_files(value) for value in node]
    if isinstance(node, type):
        return node.__qualname__
    if isinstance(node, str) and _is_pathlike(node):
        if os.path.isfile(node):
            return f'file {file_digest(node)}'
        if os.path.isdir(node):
            return f'folder {folder_digest(node)}'
    return node


def require_files(node: Any, purpose: str) -> None:
    """Check that the files that a config names exist.

    Args:
        node (Any): Nested dicts and lists.
        purpose (str): What needs them, for the message.

    Raises:
        FileNotFoundError: If one is missing.
    """
    for text in _strings(node):
        local = os.path.isabs(text) or text.endswith((*WEIGHT_SUFFIXES, '.json'))
        if local and '://' not in text and not os.path.exists(text):
            raise FileNotFoundError(
                f'{purpose} needs {text!r}, and there is no such file (looked for '
                f'{os.path.abspath(text)!r})'
            )


@lru_cache(maxsize=4096)
def _digest_of(path: str, size: int, *times: int) -> str:
    remembered = _remembered(f'{path}\0{size}\0{times}') if size >= LARGE else None
    if remembered is not None:
        with contextlib.suppress(OSError, ValueError):
            if _DIGEST.fullmatch(known := remembered.read_text()):
                return known
    with open(path, 'rb') as file:
        digest = _digest(file)
    if remembered is not None:
        with contextlib.suppress(OSError):  # without a cache it only takes longer
            atomic_write(remembered, digest)
    return digest


def _digest(file: BufferedReader) -> str:
    return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _files_below(root: Path) -> Iterator[Path]:
    """Files that are not hidden; folders behind links, too, but none inside itself."""
    above: dict[str, frozenset[str]] = {str(root): frozenset((os.path.realpath(root),))}
    for here, folders, names in os.walk(root, followlinks=True):
        known = above.pop(here)
        yield from (Path(here, name) for name in names if not name.startswith('.'))
        inner = {
            name: os.path.realpath(os.path.join(here, name))
            for name in folders
            if not name.startswith('.')
        }
        folders[:] = [name for name, real in inner.items() if real not in known]
        above.update((os.path.join(here, name), known | {inner[name]}) for name in folders)


def _remembered(key: str) -> Path:
    root = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    return Path(root, 'urbancross_mm', 'digests', name)


def _is_pathlike(text: str) -> bool:
    """A bare word such as ``clip`` is an option, even if a folder has that name."""
    return '/' in text or os.sep in text or text.endswith(MODEL_SUFFIXES)


def _strings(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _strings(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _strings(value)
