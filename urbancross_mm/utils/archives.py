"""Archives that are much smaller than what is in them."""

from __future__ import annotations

import zipfile
from pathlib import Path


def refuse_bomb(path: str | Path, what: str, most: float = 1.0) -> None:
    """Refuse a zip archive that claims to hold much more than its file.

    Args:
        path (str | Path): The file.
        what (str): What it is, for the message: 'the checkpoint'.
        most (float): Bytes in it for a byte of the file. Defaults to 1.0: nothing is compressed.

    Raises:
        ValueError: If it claims more.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except Exception:  # another format, or a damaged file: who reads it will say
        return
    length = Path(path).stat().st_size
    if size > most * length:
        raise ValueError(
            f'cannot read {what} {path}: it has {length} bytes and claims to hold {size}'
        )
