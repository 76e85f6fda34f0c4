"""Embeddings of the windows of a raster, kept in a folder beside it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.utils.files import atomic_write, check_outputs
from urbancross_mm.utils.hashing import FileStamp

FORMAT = 'urbancross_mm.windows/1'
# What a window may be.
NOT_ENCODED, ENCODED, WITHOUT_DATA = 0, 1, 2
_SETTINGS, _STATES, _EMBEDS = 'windows.json', 'states.u8', 'embeds.f16'


class WindowStore:
    """Half-precision rows by the number of their window, in a folder.

    A row is on disk before its state says so. A run that was killed goes on where it was.

    Args:
        folder (str | Path): Made if need be.
        settings (dict): What made the rows, as plain JSON. Rows of others are dropped.
        stamp (FileStamp): Of the raster.
        count (int): Number of windows.

    Raises:
        OSError: If the folder cannot be written.
    """

    def __init__(
        self, folder: str | Path, settings: dict[str, Any], stamp: FileStamp, count: int
    ) -> None:
        self.folder = Path(folder)
        self.count = count
        self.dropped = False
        check_outputs([self.folder / _SETTINGS])
        known = self._read_settings()
        same = known.get('settings') == settings and known.get('digest') == stamp.digest
        if not (same and self._is_whole()):
            self.dropped = bool(known)
            self._begin(dict(format=FORMAT, settings=settings, digest=stamp.digest))
        self.states = np.fromfile(self.folder / _STATES, dtype=np.uint8)

    def write(self, numbers: np.ndarray, embeds: np.ndarray, known: np.ndarray) -> None:
        """Keep rows; those that are not ``known`` are of windows without data.

        Args:
            numbers (np.ndarray): Of the windows, ascending, each once.
            embeds (np.ndarray): Their embeddings.
            known (np.ndarray): Which of the windows have data, bool.

        Shape:
            - numbers, known: ``(N,)``; embeds: ``(N, D)``.

        Raises:
            OSError: If the disk is full; what was kept before stays.
        """
        if not len(numbers):
            return
        rows = embeds.astype('<f2')
        runs = np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(numbers) != 1) + 1)
        states = np.where(known, ENCODED, WITHOUT_DATA).astype(np.uint8)
        with open(self.folder / _EMBEDS, 'r+b') as file:
            # Not by a memory map, where a full disk kills the process. The file has holes.
            file.truncate(self.count * rows.shape[1] * 2)
            for run in runs:
                file.seek(int(numbers[run[0]]) * rows.shape[1] * 2)
                file.write(rows[run].tobytes())
            file.flush()
            os.fsync(file.fileno())
        with open(self.folder / _STATES, 'r+b') as file:
            for run in runs:
                file.seek(int(numbers[run[0]]))
                file.write(states[run].tobytes())
        self.states[numbers] = states

    def rows(self) -> np.ndarray:
        """All rows, mapped into memory; those that were not written are zero.

        Returns:
            np.ndarray: ``(count, D)``, float16; D is 0 before the first row.
        """
        path = self.folder / _EMBEDS
        width = path.stat().st_size // (2 * self.count)
        if not width:
            return np.zeros((self.count, 0), dtype='<f2')
        return np.memmap(path, dtype='<f2', mode='r', shape=(self.count, width))

    def _read_settings(self) -> dict[str, Any]:
        try:
            content = json.loads((self.folder / _SETTINGS).read_text(encoding='utf-8'))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) and content.get('format') == FORMAT else {}

    def _is_whole(self) -> bool:
        states, embeds = self.folder / _STATES, self.folder / _EMBEDS
        return (
            states.is_file()
            and embeds.is_file()
            and states.stat().st_size == self.count
            and embeds.stat().st_size % (2 * self.count) == 0
        )

    def _begin(self, content: dict[str, Any]) -> None:
        """Drop the rows, then say what the new ones will be of."""
        (self.folder / _SETTINGS).unlink(missing_ok=True)
        atomic_write(self.folder / _STATES, bytes(self.count))
        atomic_write(self.folder / _EMBEDS, b'')
        atomic_write(self.folder / _SETTINGS, json.dumps(content, indent=1) + '\n')


def folder_of(raster: str | Path, settings: dict[str, Any], cache: str | Path | None) -> Path:
    """The folder of the windows of a raster: other settings have another one.

    Args:
        raster (str | Path): The file.
        settings (dict): What makes the rows.
        cache (str | Path, optional): Where to keep the folder; None: beside the raster.

    Returns:
        Path: Named after the raster and the settings.
    """
    path = Path(raster).absolute()
    key = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=4).hexdigest()
    return Path(cache or path.parent) / f'{path.name}.{key}.windows'
