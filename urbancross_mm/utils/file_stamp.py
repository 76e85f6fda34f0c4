"""Telling whether a file is still the one that was read."""

from __future__ import annotations

import filecmp
import hashlib
import os
from pathlib import Path
from typing import NamedTuple


class FileStamp(NamedTuple):
    """What a file was when it was read.

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
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        return cls(state.st_size, state.st_mtime_ns, state.st_ctime_ns, digest)

    def renewed(self, path: str | Path) -> FileStamp | None:
        """The stamp of the file as it is now, if its content has not changed.

        The content is read only if the size is the same and a time is not, as of a copy.

        Args:
            path (str | Path): The file, maybe at another place than once.

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
