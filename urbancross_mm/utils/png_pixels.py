"""The pixels of a PNG without its notes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

PNG = b'\x89PNG\r\n\x1a\n'


def only_pixels(file: str | Path | BinaryIO) -> BinaryIO | None:
    """Read a PNG without what is not needed to see it.

    Args:
        file (str | Path | BinaryIO): A file.

    Returns:
        BinaryIO | None: The rest as a file; None if it is no PNG.
    """
    if isinstance(file, str | Path):
        with open(file, 'rb') as opened:
            return only_pixels(opened)
    file.seek(0)
    content = file.read()
    if not content.startswith(PNG):
        return None
    parts, place = [PNG], len(PNG)
    while place < len(content):
        # Length, kind, that many bytes and a checksum; a kind in capitals is needed.
        end = place + 12 + int.from_bytes(content[place : place + 4], 'big')
        kind = content[place + 4 : place + 8]
        if kind[:1].isupper() or kind == b'tRNS':
            parts.append(content[place:end])
        place = end
    return io.BytesIO(b''.join(parts))
