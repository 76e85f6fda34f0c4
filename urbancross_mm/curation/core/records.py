"""What is known of an image, and the lines that say how it came to be."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from urbancross_mm.utils.files import atomic_write
from urbancross_mm.utils.text_files import parse_json

KEPT, DROPPED, FAILED = 'kept', 'dropped', 'failed'
# What a line of a manifest holds.
FIELDS = dict(picture=str, status=str, reason=str, fields=dict, made_by=dict, key=str)


@dataclass(frozen=True)
class ImageRecord:
    """An image on its way through the stages.

    Attributes:
        name (str): Path below ``OUT/images``, with ``/``: the key of every record.
        fields (Mapping): What the stages so far have found out, such as ``captions`` or ``bounds``.
    """

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def plus(self, fields: Mapping[str, Any]) -> ImageRecord:
        """The same image, and more is known of it.

        Args:
            fields (Mapping): Plain JSON; replaces what has the same name.

        Returns:
            ImageRecord: A new one.
        """
        return replace(self, fields={**self.fields, **fields})


@dataclass(frozen=True)
class Outcome:
    """What a stage made of an image.

    Attributes:
        fields (Mapping): Plain JSON to remember. Defaults to {}.
        status (str): ``kept``; ``dropped`` on purpose; ``failed``, which the next run tries again.
            Defaults to 'kept'.
        reason (str): Why it was dropped or failed, or a remark. Defaults to ''.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    status: str = KEPT
    reason: str = ''


@dataclass(frozen=True)
class Record:
    """A line of a manifest.

    Attributes:
        image (str): Its name.
        key (str): Hash of all that the outcome depends on.
        outcome (Outcome): What came out.
        made_by (Mapping): The stage's type, and versions and hashes of its model and prompt.
    """

    image: str
    key: str
    outcome: Outcome
    made_by: Mapping[str, Any]

    def line(self) -> str:
        """The record as one line of JSON, keys in a fixed order."""
        return (
            json.dumps(
                dict(
                    picture=self.image,
                    status=self.outcome.status,
                    reason=self.outcome.reason,
                    fields=dict(self.outcome.fields),
                    made_by=dict(self.made_by),
                    key=self.key,
                ),
                ensure_ascii=False,
                sort_keys=True,
            )
            + '\n'
        )

    @classmethod
    def of_line(cls, line: str) -> Record:
        """Read a line.

        Args:
            line (str): JSON.

        Returns:
            Record: The record.

        Raises:
            ValueError: If it is none.
        """
        try:
            found = parse_json(line, 'it', nan=True)
            for name, kind in FIELDS.items():
                if not isinstance(found[name], kind):
                    raise TypeError(f'{name!r} must not be {found[name]!r:.60}')
            if found['status'] not in (KEPT, DROPPED, FAILED):
                raise ValueError(f'unknown status {found["status"]!r}')
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f'no record: {line[:80]!r} ({error})') from error
        outcome = Outcome(found['fields'], found['status'], found['reason'])
        return cls(found['picture'], found['key'], outcome, found['made_by'])


class Manifest:
    """The records of one stage, ``OUT/manifest/<stage>.jsonl``.

    While a stage runs, records are appended as they come, so that a killed run loses the images
    it was at and no more. In the end the file is written anew in the order of the images: the
    same bytes, however often the run was interrupted.

    Args:
        path (str | Path): The file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def read(self) -> dict[str, Record]:
        """Read all records; the last of an image counts, and half a line at the end does not.

        Returns:
            dict[str, Record]: By image; empty if there is no file.

        Raises:
            ValueError: If a line before the last is damaged.
        """
        return {record.image: record for record in self.records()}

    def records(self) -> list[Record]:
        """Read all records, also the earlier ones of an image.

        Returns:
            list[Record]: In the order of the lines.

        Raises:
            ValueError: If a line before the last is damaged.
        """
        if not self.path.is_file():
            return []
        lines = self.path.read_bytes().split(b'\n')
        found = []
        for number, line in enumerate(lines[:-1], 1):
            try:
                found.append(Record.of_line(line.decode('utf-8-sig' if number == 1 else 'utf-8')))
            except ValueError as error:
                raise ValueError(
                    f'{self.path}, line {number}: {error}; remove the file to make it again'
                ) from error
        return found

    def append(self, records: Iterable[Record]) -> None:
        """Add records at the end, and half a line of a killed run goes first.

        Args:
            records (Iterable[Record]): Of a batch.

        Raises:
            OSError: If the disk is full.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, 'ab+') as file:
            file.truncate(_end_of_last_line(file))
            file.write(''.join(record.line() for record in records).encode('utf-8'))

    def write(self, records: Iterable[Record]) -> None:
        """Write all records, whole or not at all.

        Args:
            records (Iterable[Record]): In the order of the images.
        """
        atomic_write(self.path, ''.join(record.line() for record in records))


def hash_of_records(records: Iterable[Record]) -> str:
    """Hash of what a stage has recorded.

    Args:
        records (Iterable[Record]): In the order of the manifest.

    Returns:
        str: ``sha256:<hex>``. The keys do not count: they tell the age of the tiles, which a copy
        of them changes.
    """
    total = hashlib.sha256()
    for record in records:
        total.update(replace(record, key='').line().encode())
    return f'sha256:{total.hexdigest()}'


def digest(*parts: Any) -> str:
    """Hash of plain JSON, whatever the order of its keys.

    Args:
        *parts (Any): Plain JSON.

    Returns:
        str: 32 hexadecimal digits.
    """
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True)
    return hashlib.blake2b(text.encode('utf-8'), digest_size=16).hexdigest()


def _end_of_last_line(file: Any) -> int:
    """Bytes up to and with the last line feed."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65536)
        file.seek(start)
        place = file.read(end - start).rfind(b'\n')
        if place >= 0:
            return start + place + 1
        end = start
    return 0
