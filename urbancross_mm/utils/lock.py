"""One process a folder."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def only_one(out: str | Path) -> Iterator[None]:
    """Refuse a second process in the same folder, which would write over the first one's files.

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
                f'another process is working in {out}: wait for it, or choose another --out'
            ) from error
        yield
