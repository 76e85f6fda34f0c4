"""The source files: images as they list them, lines that are wrong, and hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from urbancross_mm.utils.ids import IdRegister
from urbancross_mm.utils.paths import check_relative


@dataclass(frozen=True)
class Source:
    """One image as the published files list it.

    Attributes:
        name (str): Of the image file.
        captions (list[str]): Empty ones included.
        where (str): File and line, for messages.
        audio (list[str] | None): Spoken caption of each caption.
        fields (dict): Further fields of the record, such as ``lon``; None is left out.
    """

    name: str
    captions: list[str]
    where: str
    audio: list[str] | None = None
    fields: dict[str, Any] = field(default_factory=dict)


def hash_file(path: str | Path) -> str:
    """Hash a source file, to note in the annotations what they were made from."""
    with open(path, 'rb') as file:
        return 'sha256:' + hashlib.file_digest(file, 'sha256').hexdigest()


class Problems:
    """Bad lines: the first one stops the work, or all are counted on request.

    Args:
        skip (bool): Count instead of stopping. Defaults to False.
    """

    def __init__(self, skip: bool = False) -> None:
        self.skip = skip
        self.messages: list[str] = []

    def report(self, message: str) -> None:
        """Raise a ValueError with this message, or note it if bad lines are skipped."""
        if not self.skip:
            raise ValueError(message)
        self.messages.append(message)

    def check(self, sources: Iterable[Source]) -> list[Source]:
        """Keep the sources whose file name stays in its folder; of a repeated name, the first."""
        names: IdRegister[str] = IdRegister()
        good = []
        for source in sources:
            try:
                check_relative(source.name, source.where)
            except ValueError as error:
                self.report(str(error))
                continue
            first = names.clash(source.name, source.where)
            if first is None:
                good.append(source)
            else:
                self.report(f'{source.where}: image {source.name!r} was listed before ({first})')
        return good
