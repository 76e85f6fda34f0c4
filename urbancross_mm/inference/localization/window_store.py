"""Embeddings of the windows of a raster, kept in a folder beside it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.utils.files import atomic_write, check_outputs
from urbancross_mm.utils.hashing import FileStamp

FORMAT = 'urbancross_mm.windows/2'
# States of a window. Those between are shares of data.
NOT_ENCODED, WITHOUT_DATA, WHOLE = 0, 1, 255
_SETTINGS, _STATES, _EMBEDS = 'windows.json', 'states.u8', 'embeds.f16'


class WindowStore:
    """Half-precision rows by the number of their window, in a folder.

    A row is on disk before its state says so. A run that was killed goes on where it was.

    Args:
        folder (str | Path): Made if need be.
        settings (dict): What made the rows, as plain JSON. Rows of others are dropped.
        stamp (FileStamp): Of the raster.
        count (int): Number of windows.
        width (int): Of a row.

    Raises:
        OSError: If the folder cannot be written.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: dict[str, Any],
        stamp: FileStamp,
        count: int,
        width: int,
    ) -> None:
        self.folder = Path(folder)
        self.count, self.width = count, width
        self.dropped = False
        self._stamp = stamp
        check_outputs([self.folder / _SETTINGS])
        known = self._read_settings()
        content = dict(format=FORMAT, settings=settings, digest=stamp.digest, width=width)
        if not (known == content and self._is_whole()):
            self.dropped = bool(known)
            self._begin(content)
        self.states = np.fromfile(self.folder / _STATES, dtype=np.uint8)
        # Once: another process, for which the raster has changed, puts another file in its place.
        self._rows = np.memmap(self.folder / _EMBEDS, dtype='<f2', mode='r', shape=(count, width))

    def write(self, numbers: np.ndarray, embeds: np.ndarray, shares: np.ndarray) -> None:
        """Keep rows.

        Args:
            numbers (np.ndarray): Of the windows, ascending, each once.
            embeds (np.ndarray): Their embeddings.
            shares (np.ndarray): The part of each window that has data; 0 for none.

        Shape:
            - numbers, shares: ``(N,)``; embeds: ``(N, D)``.

        Raises:
            OSError: If the disk is full; what was kept before stays.
        """
        rows = embeds.astype('<f2')
        states = (WITHOUT_DATA + np.ceil(shares * (WHOLE - WITHOUT_DATA))).astype(np.uint8)
        with open(self.folder / _EMBEDS, 'r+b') as file:
            # Not by a memory map, where a full disk kills the process.
            for run in _runs(numbers):
                file.seek(int(numbers[run[0]]) * self.width * 2)
                file.write(rows[run].tobytes())
            file.flush()
            os.fsync(file.fileno())
        self._write_states(numbers, states)

    def rows(self) -> np.ndarray:
        """All rows, mapped into memory; those that were not written are zero.

        Returns:
            np.ndarray: ``(count, D)``, float16.
        """
        return self._rows

    def lacking(self, numbers: np.ndarray) -> np.ndarray:
        """Choose the windows that are not encoded.

        Args:
            numbers (np.ndarray): Of the windows.

        Returns:
            np.ndarray: Some of the numbers.
        """
        return numbers[self.states[numbers] == NOT_ENCODED]

    def shares(self, numbers: np.ndarray | slice) -> np.ndarray:
        """The part of windows that has data; 0 of those that are not encoded.

        Args:
            numbers (np.ndarray | slice): Which windows.

        Returns:
            np.ndarray: From 0 to 1.
        """
        states = self.states[numbers].astype(np.float64)
        return np.maximum(states - WITHOUT_DATA, 0) / (WHOLE - WITHOUT_DATA)

    @contextmanager
    def reading(self, raster: str | Path) -> Iterator[None]:
        """Drop the rows that are written meanwhile if the raster changes.

        Args:
            raster (str | Path): The file, which must be as it was when the store was made.

        Raises:
            ValueError: If it has changed.
        """
        self._check(raster)
        before = self.states.copy()
        try:
            yield
        finally:
            try:
                self._check(raster)
            except ValueError:
                new = np.flatnonzero(self.states != before)
                self._write_states(new, before[new])
                raise

    def _check(self, raster: str | Path) -> None:
        stamp = None
        with suppress(OSError):
            stamp = self._stamp.renewed(raster)
        if stamp is None:
            raise ValueError('the raster has changed since it was first read: start again')
        self._stamp = stamp

    def _write_states(self, numbers: np.ndarray, states: np.ndarray) -> None:
        with open(self.folder / _STATES, 'r+b') as file:
            for run in _runs(numbers):
                file.seek(int(numbers[run[0]]))
                file.write(states[run].tobytes())
        self.states[numbers] = states

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
            and embeds.stat().st_size == 2 * self.count * self.width
        )

    def _begin(self, content: dict[str, Any]) -> None:
        """Drop the rows, then say what the new ones will be of."""
        (self.folder / _SETTINGS).unlink(missing_ok=True)
        atomic_write(self.folder / _STATES, bytes(self.count))
        atomic_write(self.folder / _EMBEDS, b'')
        os.truncate(self.folder / _EMBEDS, 2 * self.count * self.width)  # holes, read as zeros
        atomic_write(self.folder / _SETTINGS, json.dumps(content, indent=1) + '\n')


def _runs(numbers: np.ndarray) -> list[np.ndarray]:
    """Places of numbers that follow each other."""
    if not len(numbers):
        return []
    return np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(numbers) != 1) + 1)


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
