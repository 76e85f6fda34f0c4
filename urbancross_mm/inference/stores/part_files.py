"""The parts of a store in a folder, where every finished write survives a kill.

The folder holds for every part its vectors (``NAME.npy``), its ids and attributes (``NAME.arrow``)
and perhaps which rows are left (``OTHER.left.npy``). ``manifest.json`` names the files that count.
Replacing it is what makes a write happen; before, all that it names is on the disk. Of an arrow
file it holds size and checksum, for a reader of a damaged one may end the process; of vectors only
the shape is checked.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tokenize
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import numpy as np
import pyarrow as pa

from urbancross_mm.inference.stores.item_checks import check_fingerprint
from urbancross_mm.inference.stores.parts import DTYPES, Part, Rows
from urbancross_mm.inference.stores.snapshot import Snapshot
from urbancross_mm.utils.files import atomic_write, file_lock, remove_leftovers_below

FORMAT = 'urbancross_mm.store/1'
MANIFEST = 'manifest.json'
TRIES = 20  # a writer may replace files between reading the manifest and opening them
_OURS = re.compile(r'[0-9a-f]{32}(\.left)?\.(npy|arrow)')


class FolderParts:
    """Keeps parts in a folder.

    Args:
        folder (Path): The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: contextlib.ExitStack | None = None
        self._text = ''

    @property
    def manifest(self) -> Path:
        """Path: The file that says what counts."""
        return self.folder / MANIFEST

    def create(self, fingerprint: str, dtype: str) -> None:
        """Make an empty store, unless one is there or other files are."""
        if self.manifest.exists():
            return
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f'cannot make a store at {str(self.folder)!r}: it is a file')
        if self.folder.exists() and any(p.name[:1] != '.' for p in self.folder.iterdir()):
            raise ValueError(
                f'{str(self.folder)!r} is no store and is not empty: name another folder'
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        empty = Snapshot(fingerprint, dtype)
        self.acquire()
        if not self.manifest.exists():  # made meanwhile by the process that held the lock
            self.commit(empty, empty)

    def acquire(self) -> bool:
        """Become the only writer until :meth:`close`; False: it was so before."""
        if self._lock is not None:
            return False
        lock = contextlib.ExitStack()
        try:
            lock.enter_context(file_lock(self.folder))
        except ValueError as error:
            raise ValueError(
                f'another process is writing to the store {str(self.folder)!r}: wait for it'
            ) from error
        self._lock = lock
        remove_leftovers_below(self.folder)
        return True

    def close(self) -> None:
        """Let others write."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def write(self, chunks: Iterable[np.ndarray], table: pa.Table, dtype: str, width: int) -> Rows:
        """Write the vectors and the table of one part to the disk."""
        name = uuid4().hex
        header = dict(descr=np.dtype(dtype).str, fortran_order=False, shape=(len(table), width))
        with self._new_file(f'{name}.npy') as file:
            np.lib.format.write_array_header_1_0(file, header)
            for chunk in chunks:
                file.write(chunk.data)
        with self._new_file(f'{name}.arrow') as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        return self._open_rows(name, len(table), width, dtype, self._digest(name))

    def write_left(self, alive: np.ndarray) -> str:
        """Write which rows are left; returns the name of the file."""
        name = f'{uuid4().hex}.left.npy'
        with self._new_file(name) as file:
            np.save(file, alive)
        return name

    def commit(self, snapshot: Snapshot, before: Snapshot) -> None:
        """Make a snapshot the current one, for good, and remove files it does not need."""
        parts = [
            dict(
                name=p.rows.name,
                rows=len(p.rows),
                arrow=p.rows.digest,
                longest=p.longest,
                left=p.left,
            )
            for p in snapshot.parts
        ]
        text = json.dumps(
            dict(
                format=FORMAT,
                fingerprint=snapshot.fingerprint,
                dtype=snapshot.dtype,
                width=snapshot.width,
                parts=parts,
            )
        )
        with self._explained():
            _sync_folder(self.folder)
            atomic_write(self.manifest, text)
        _sync_folder(self.folder)
        self._text = text
        for name in _files(before) - _files(snapshot):
            (self.folder / name).unlink(missing_ok=True)

    def load(self, known: Snapshot | None) -> Snapshot:
        """Read the current snapshot, of the same model; parts that are known are not read again."""
        for _ in range(TRIES):
            text = self._read_manifest()
            if known is not None and text == self._text:
                return known
            try:
                snapshot = self._snapshot(text, known)
            except FileNotFoundError as error:
                if self._read_manifest() == text:
                    raise self._damaged(f'a file is missing: {error}') from error
                continue  # another process has replaced it meanwhile
            except (OSError, EOFError, ValueError, TypeError, KeyError, RecursionError) as error:
                raise self._damaged(str(error)) from error
            if known is not None:
                check_fingerprint(snapshot.fingerprint, known.fingerprint, str(self.folder))
            self._text = text
            return snapshot
        raise self._damaged('its files change all the time')

    def sweep(self, snapshot: Snapshot) -> None:
        """Remove the files of writes that were killed; the caller is the writer."""
        needed = _files(snapshot)
        for path in self.folder.iterdir():
            if _OURS.fullmatch(path.name) and path.name not in needed:
                path.unlink(missing_ok=True)

    def _read_manifest(self) -> str:
        try:
            return self.manifest.read_text(encoding='utf-8')
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ValueError(
                f'there is no store at {str(self.folder)!r}: {MANIFEST} is missing'
            ) from error
        except UnicodeDecodeError as error:
            raise self._damaged(f'{MANIFEST} is no text') from error

    def _snapshot(self, text: str, known: Snapshot | None) -> Snapshot:
        content = json.loads(text)
        found = content.get('format') if isinstance(content, dict) else None
        if found != FORMAT:
            raise ValueError(f'its format is {found!r}, this version reads {FORMAT!r}')
        if content['dtype'] not in DTYPES or not isinstance(content['fingerprint'], str):
            raise ValueError(f'dtype {content["dtype"]!r}, fingerprint {content["fingerprint"]!r}')
        old = {part.rows.name: part for part in known.parts} if known else {}
        parts = tuple(
            self._part(record, old.get(record['name']), content['width'], content['dtype'])
            for record in content['parts']
        )
        return Snapshot(content['fingerprint'], content['dtype'], parts)

    def _part(self, record: dict[str, Any], old: Part | None, width: int, dtype: str) -> Part:
        name, left = record['name'], record['left']
        if old is not None and old.left == left:
            return old
        for file in (f'{name}.npy', left or f'{name}.npy'):
            if not _OURS.fullmatch(file):
                raise ValueError(f'{file!r} is no file of a store')
        rows = old.rows if old else self._checked_rows(record, width, dtype)
        alive = np.ones(len(rows), dtype=bool)
        if left:
            alive = np.array(_mapped(self.folder / left, (len(rows),), 'bool'))
            if alive.view(np.uint8).max(initial=0) > 1:
                raise ValueError(f'{left} holds no truth values')
        return Part(rows, float(record['longest']), alive, left)

    def _checked_rows(self, record: dict[str, Any], width: int, dtype: str) -> Rows:
        name = record['name']
        found = self._digest(name)
        if found != record['arrow']:
            raise ValueError(f'{name}.arrow is {found}, it was written as {record["arrow"]}')
        return self._open_rows(name, record['rows'], width, dtype, found)

    def _open_rows(self, name: str, rows: int, width: int, dtype: str, digest: str) -> Rows:
        embeds = _mapped(self.folder / f'{name}.npy', (rows, width), dtype)
        with pa.memory_map(str(self.folder / f'{name}.arrow')) as source:
            table = pa.ipc.open_file(source).read_all()
        table.validate()
        kinds = table.schema.types
        if (
            len(table) != rows
            or table.column_names != ['id', 'attributes']
            or kinds[0] != pa.large_string()
            or not pa.types.is_struct(kinds[1])
        ):
            raise ValueError(f'{name}.arrow does not fit {name}.npy')
        return Rows(name, embeds, table, digest)

    def _digest(self, name: str) -> str:
        """Size and checksum of the arrow file of a part."""
        size, checksum = 0, 0
        with open(self.folder / f'{name}.arrow', 'rb') as file:
            while block := file.read(1 << 20):
                size, checksum = size + len(block), zlib.crc32(block, checksum)
        return f'{size}:{checksum:08x}'

    @contextlib.contextmanager
    def _new_file(self, name: str) -> Iterator[BinaryIO]:
        """A file that is on the disk when the block ends, or not there if it fails."""
        path = self.folder / name
        try:
            with self._explained(), open(path, 'wb') as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(
                error.errno,
                f'cannot write to the store {str(self.folder)!r}, nothing of this call was '
                f'kept: {error.strerror or error}',
            ) from error

    def _damaged(self, reason: str) -> ValueError:
        return ValueError(f'{str(self.folder)!r} is no store, or is damaged: {reason}')


def _files(snapshot: Snapshot) -> set[str]:
    """Names of the files that a snapshot needs."""
    names = {f'{part.rows.name}{end}' for part in snapshot.parts for end in ('.npy', '.arrow')}
    return names | {part.left for part in snapshot.parts if part.left}


def _mapped(path: Path, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """An array in a file. Its header and size are checked, its content is not read."""
    try:
        # Mapped privately: torch warns of memory that cannot be written. Nobody writes to it.
        array = np.lib.format.open_memmap(path, mode='c')
    except (MemoryError, OverflowError, SyntaxError, tokenize.TokenError) as error:
        raise ValueError(f'{path.name} has a damaged header') from error
    if array.shape != shape or array.dtype != np.dtype(dtype) or not array.flags.c_contiguous:
        raise ValueError(f'{path.name} holds {array.dtype} of shape {array.shape}')
    if path.stat().st_size != array.offset + array.nbytes:
        raise ValueError(f'{path.name} has {path.stat().st_size} bytes, of shape {array.shape}')
    return array


def _sync_folder(folder: Path) -> None:
    """Write the names of new files to the disk."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
