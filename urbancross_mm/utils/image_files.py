"""Listing the image or sound files of a folder, the same for every part of the package."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import NamedTuple

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.tif', '.tiff', '.bmp', '.webp')
# What a user may take for an image, and nothing here reads.
OTHER_SUFFIXES = (
    '.gif',
    '.jp2',
    '.j2k',
    '.jfif',
    '.jpe',
    '.heic',
    '.heif',
    '.avif',
    '.img',
    '.ecw',
    '.vrt',
)
SOUND_SUFFIXES = ('.wav', '.flac', '.ogg')
OTHER_SOUND_SUFFIXES = ('.mp3', '.m4a', '.aac', '.opus', '.wma', '.aif', '.aiff')
# Copies and thumbnails that operating systems leave beside the images.
SYSTEM_FOLDERS = ('__MACOSX', '@eaDir')
UNWRITABLE = 'names that are not UTF-8 or have control characters'


class FileKind(NamedTuple):
    """What is listed: its name, the suffixes that are read, and those that may be missed."""

    name: str
    suffixes: tuple[str, ...]
    others: tuple[str, ...]

    def fits(self, path: str | Path) -> bool:
        """Whether a file name has a suffix that is read, in any case."""
        return os.path.splitext(path)[1].lower() in self.suffixes


IMAGES = FileKind('images', IMAGE_SUFFIXES, OTHER_SUFFIXES)
SOUND = FileKind('sound', SOUND_SUFFIXES, OTHER_SOUND_SUFFIXES)


@dataclass
class FileListing:
    """The images, or other files of one kind, below a folder.

    Attributes:
        folder (Path): As it was given.
        names (list[str]): Relative POSIX paths, sorted.
        passed_over (dict[str, int]): How many files of each sort look like images and are not
            among the names.
        second_names (list[str]): Links to files that stand among the names already.
        unwritable (list[str]): Names that no annotation or list can hold: not UTF-8, or with
            control characters.
        linked (dict[str, str]): Where the files really lie whose names lead through a link.
        missing (list[str]): Folders that cannot be read now, '' for the folder itself, and links
            that lead nowhere. Nobody knows what is in them.
    """

    folder: Path
    names: list[str]
    passed_over: dict[str, int] = field(default_factory=dict)
    second_names: list[str] = field(default_factory=list)
    unwritable: list[str] = field(default_factory=list)
    linked: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """Each name joined to the folder."""
        return [str(self.folder / name) for name in self.names]

    @property
    def remark(self) -> str:
        """What is passed over, as a phrase; '' if nothing is."""
        parts = [f'{count} {kind}' for kind, count in sorted(self.passed_over.items())]
        return f'passed over: {", ".join(parts)}' if parts else ''


def list_image_files(folder: str | Path) -> FileListing:
    """List the images below a folder, see :func:`list_files`.

    Args:
        folder (str | Path): Searched with its subfolders.

    Returns:
        FileListing: The same on every file system.
    """
    return list_files(folder, IMAGES)


def list_files(folder: str | Path, kind: FileKind) -> FileListing:
    """List the files of one kind below a folder, each file once.

    Links to files and folders are followed, and one that leads back to a folder above it is not. A
    file with several names stands under its own; of two links, the first in order counts. Hard
    links are files of their own. Hidden files and folders (``.ipynb_checkpoints``, ``._a.jpg``)
    and what systems leave (``__MACOSX``, ``@eaDir``) are passed over. Files are not opened: an
    empty or a damaged one is listed.

    Args:
        folder (str | Path): Searched with its subfolders.
        kind (FileKind): ``IMAGES`` or ``SOUND``.

    Returns:
        FileListing: The same on every file system.

    Raises:
        FileNotFoundError: If there is no such folder.
        PermissionError: If it may not be read.
    """
    if not str(folder):  # Path('') is the current folder; an unset variable asks for none
        raise FileNotFoundError(f'no folder of {kind.name}: its name is empty')
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f'no folder of {kind.name} at {folder}')
    os.scandir(folder).close()
    walk = _Walk(folder, kind)
    good = [name for name in walk.names if is_writable(name)]
    unwritable = sorted(set(walk.names) - set(good))
    walk.passed[UNWRITABLE] += len(unwritable)
    walk.passed['second names'] += len(walk.second_names)
    return FileListing(
        folder,
        sorted(good),
        dict(+walk.passed),
        sorted(walk.second_names),
        unwritable,
        walk.linked,
        sorted(walk.missing),
    )


def has_image_suffix(path: str | Path) -> bool:
    """Whether a file name has an image suffix, in any case.

    Args:
        path (str | Path): The name.

    Returns:
        bool: True if so.
    """
    return IMAGES.fits(path)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is not part of the data, by its name.

    Args:
        name (str): Without the folders above.

    Returns:
        bool: True for a leading dot and for what systems leave.
    """
    return name.startswith('.') or name in SYSTEM_FOLDERS


def is_writable(name: str) -> bool:
    """Whether a name is UTF-8 and fits into a line of a text file.

    Args:
        name (str): As the file system gives it.

    Returns:
        bool: False if it has bytes that are no UTF-8, or control characters.
    """
    return not any(
        ord(sign) < 32 or ord(sign) == 127 or 0xD800 <= ord(sign) < 0xE000 for sign in name
    )


class _Walk:
    """Real files first, then links by name, so that a file keeps the name that is its own."""

    def __init__(self, folder: Path, kind: FileKind) -> None:
        self.kind = kind
        self.root = os.path.realpath(folder)
        self.names: list[str] = []
        self.second_names: list[str] = []
        self.linked: dict[str, str] = {}
        self.missing: list[str] = []
        self.passed: Counter[str] = Counter()
        self._known: set[str] = set()  # real paths of files and folders
        # Ordered by folder, not by letters: 'a-b' comes after everything in 'a'.
        self._links: list[tuple[tuple[str, ...], str]] = []
        self._take_folder(self.root, ())
        while self._links:
            self._follow(*heappop(self._links))

    def _take_folder(self, real: str, parts: tuple[str, ...]) -> None:
        """Everything below a real folder, named below ``parts``; links wait for their turn."""
        pending = [(real, parts)]
        while pending:
            real, parts = pending.pop()
            if real in self._known:
                continue
            self._known.add(real)
            for entry in self._entries(real, parts):
                name = (*parts, entry.name)
                if is_hidden(entry.name):
                    self.passed['hidden'] += self._count_hidden(entry)
                elif entry.is_symlink():
                    heappush(self._links, (name, entry.path))
                elif entry.is_dir():
                    pending.append((entry.path, name))
                else:
                    self._take_file(entry.path, name, entry.is_file())

    def _take_file(self, real: str, parts: tuple[str, ...], regular: bool = True) -> None:
        suffix, name = os.path.splitext(parts[-1])[1].lower(), '/'.join(parts)
        if suffix in self.kind.others:
            self.passed[suffix] += 1
        elif suffix in self.kind.suffixes and not regular:
            self.passed['no regular files'] += 1
        elif suffix in self.kind.suffixes and real in self._known:
            self.second_names.append(name)
        elif suffix in self.kind.suffixes:
            self._known.add(real)
            self.names.append(name)
            if real != os.path.join(self.root, name):
                self.linked[name] = real

    def _follow(self, parts: tuple[str, ...], path: str) -> None:
        """A link; ``path`` is where it lies."""
        real = os.path.realpath(path)
        if not os.path.exists(real):
            self.passed['broken links'] += self.kind.fits(parts[-1])
            self.missing.append('/'.join(parts))
        elif not os.path.isdir(real):
            self._take_file(real, parts, os.path.isfile(real))
        elif f'{path}/'.startswith(f'{real.rstrip("/")}/') or f'{self.root}/'.startswith(
            f'{real.rstrip("/")}/'
        ):
            self.passed['links to a folder above them'] += 1
        elif real in self._known:
            self.passed['links to a folder that is listed already'] += 1
        else:
            self._take_folder(real, parts)

    def _entries(self, real: str, parts: tuple[str, ...]) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(real) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError:
            self.passed['unreadable folders'] += 1
            self.missing.append('/'.join(parts))
            return []

    def _count_hidden(self, entry: os.DirEntry[str]) -> int:
        """Files that are hidden, or lie in a hidden folder."""
        if not entry.is_dir(follow_symlinks=False):
            return int(self.kind.fits(entry.name))
        return sum(map(self.kind.fits, _files_below(entry.path)))


def _files_below(folder: str) -> Iterator[str]:
    for _, _, names in os.walk(folder):
        yield from names
