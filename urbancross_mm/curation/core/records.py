"""Image records, and the manifests that keep the outcome of every stage for every image."""

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
# Keys of a line of a manifest; "picture" is the name of the image.
FIELDS = dict(picture=str, status=str, reason=str, fields=dict, made_by=dict, key=str)


@dataclass(frozen=True)
class ImageRecord:
    """An image on its way through the stages.

    Attributes:
        name (str): Path below ``OUT/images``, with ``/``: the key of every record.
        fields (Mapping): Results of the stages so far, such as ``captions`` or ``bounds``.
    """

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def plus(self, fields: Mapping[str, Any]) -> ImageRecord:
        """A copy with more fields; these replace fields of the same name."""
        return replace(self, fields={**self.fields, **fields})


@dataclass(frozen=True)
class Outcome:
    """The result of a stage for an image.

    Attributes:
        fields (Mapping): Results as plain JSON. Defaults to {}.
        status (str): ``kept``, ``dropped`` (on purpose) or ``failed`` (the next run tries again).
            Defaults to 'kept'.
        reason (str): Why the image was dropped or failed, or a remark. Defaults to ''.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    status: str = KEPT
    reason: str = ''


@dataclass(frozen=True)
class Record:
    """One line of a manifest.

    Attributes:
        image (str): Name of the image.
        key (str): Hash of everything that the outcome depends on.
        outcome (Outcome): Result of the stage.
        made_by (Mapping): Type of the stage, its options, and hashes of its model and prompt.
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
        """Read a line."""
        try:
            content = parse_json(line, 'it', nan=True)
            for name, kind in FIELDS.items():
                if not isinstance(content[name], kind):
                    raise TypeError(f'{name!r} must not be {content[name]!r:.60}')
            if content['status'] not in (KEPT, DROPPED, FAILED):
                raise ValueError(f'unknown status {content["status"]!r}')
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f'not a record: {line[:80]!r} ({error})') from error
        outcome = Outcome(content['fields'], content['status'], content['reason'])
        return cls(content['picture'], content['key'], outcome, content['made_by'])


class Manifest:
    """The records of one stage, ``OUT/manifest/<stage>.jsonl``.

    While a stage runs, records are appended batch by batch, so a killed run loses only the batch
    it was working on. At the end the file is written again in the order of the images. So it has
    the same bytes however often the run was interrupted.

    Args:
        path (str | Path): The file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def read(self) -> dict[str, Record]:
        """Records by image. The last one of an image counts; an unfinished last line does not."""
        return {record.image: record for record in self.records()}

    def records(self) -> list[Record]:
        """All records in the order of the file, also the earlier ones of an image."""
        if not self.path.is_file():
            return []
        lines = self.path.read_bytes().split(b'\n')
        records = []
        for number, line in enumerate(lines[:-1], 1):
            try:
                records.append(Record.of_line(line.decode('utf-8-sig' if number == 1 else 'utf-8')))
            except ValueError as error:
                raise ValueError(
                    f'{self.path}, line {number}: {error}; remove the file to make it again'
                ) from error
        return records

    def append(self, records: Iterable[Record]) -> None:
        """Append records, after removing an unfinished line of a killed run."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, 'ab+') as file:
            file.truncate(_end_of_last_line(file))
            file.write(''.join(record.line() for record in records).encode('utf-8'))

    def write(self, records: Iterable[Record]) -> None:
        """Write all records at once; if that fails, the old file stays."""
        atomic_write(self.path, ''.join(record.line() for record in records))


def hash_of_records(records: Iterable[Record]) -> str:
    """Hash of the records of a stage, without their keys, which depend on the age of the files."""
    total = hashlib.sha256()
    for record in records:
        total.update(replace(record, key='').line().encode())
    return f'sha256:{total.hexdigest()}'


def digest(*parts: Any) -> str:
    """Hash of plain JSON, independent of the order of its keys."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True)
    return hashlib.blake2b(text.encode('utf-8'), digest_size=16).hexdigest()


def _end_of_last_line(file: Any) -> int:
    """Number of bytes up to and including the last line feed."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65536)
        file.seek(start)
        newline = file.read(end - start).rfind(b'\n')
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
