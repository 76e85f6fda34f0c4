"""Which image a key of the metadata means."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SHOWN = 3


def join_metadata(
    metadata: Mapping[str, Mapping[str, Any]], names: Sequence[str], folder: str = ''
) -> list[dict[str, Any]]:
    """Give every image its metadata.

    Args:
        metadata (Mapping): By the path below the folder (``'oulu/t_1.jpg'``), by an absolute path
            in it, or by the bare file name where one image alone has it.
        names (Sequence[str]): Of the images, below the folder; paths if there is no folder.
        folder (str): Defaults to '': the images are paths of their own.

    Returns:
        list[dict]: One an image, empty where nothing is known.

    Raises:
        ValueError: If a key fits no image, several, or one that another key fits as well, or its
            value is no mapping.
    """
    if not isinstance(metadata, Mapping):
        raise ValueError(
            f'metadata must map images to what is known of them, got {type(metadata).__name__}'
        )
    if not names:
        return []
    find = _Finder(names, folder)
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    unknown = [key for key in metadata if not find(key)]
    if unknown:
        where = f'below {folder}' if folder else 'given'
        raise ValueError(
            f'{len(unknown)} of {len(metadata)} metadata keys fit no image {where}, '
            f'such as {unknown[0]!r}: a key is a path below the folder, like '
            f'{names[0]!r}'
        )
    for key, values in metadata.items():
        (name, *others) = find(key)
        if others:
            raise ValueError(
                f'the metadata key {key!r} fits {len(others) + 1} images ('
                f'{", ".join([name, *others][:SHOWN])}): use their paths'
            )
        if not isinstance(values, Mapping):
            raise ValueError(f'metadata of {key!r} must be a mapping, got {values!r:.80}')
        if name in found:
            raise ValueError(f'the metadata keys {found[name][0]!r} and {key!r} both mean {name}')
        found[name] = key, values
    return [dict(found[name][1]) if name in found else {} for name in names]


class _Finder:
    """Names that a key may mean: the path itself before a bare file name."""

    def __init__(self, names: Sequence[str], folder: str) -> None:
        self.folder = folder
        self.names = {os.path.normpath(name): name for name in names}
        self.bare: dict[str, list[str]] = defaultdict(list)
        for name in dict.fromkeys(names):
            self.bare[os.path.basename(name)].append(name)

    def __call__(self, key: object) -> list[str]:
        if not isinstance(key, str | Path):
            return []
        path = os.path.normpath(key)
        for candidate in (path, *self._below(path)):
            if candidate in self.names:
                return [self.names[candidate]]
        return self.bare.get(path, []) if os.path.basename(path) == path else []

    def _below(self, path: str) -> list[str]:
        """A path that begins with the folder, or an absolute one, as seen from the folder."""
        inside = path.startswith(f'{os.path.normpath(self.folder)}{os.sep}')
        if not self.folder or not (inside or os.path.isabs(path)):
            return []
        real = os.path.realpath(self.folder)
        return [
            os.path.relpath(path, self.folder),
            os.path.relpath(path, real),
            os.path.relpath(os.path.realpath(path), real),
        ]
