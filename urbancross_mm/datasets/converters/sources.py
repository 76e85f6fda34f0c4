"""Images as the published files list them, and the lines that are wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

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


class Problems:
    """Bad lines: the first one stops the work, or all are counted on request.

    Args:
        skip (bool): Count instead of stopping. Defaults to False.
    """

    def __init__(self, skip: bool = False) -> None:
        self.skip = skip
        self.found: list[str] = []

    def report(self, sentence: str) -> None:
        """Note a bad line.

        Args:
            sentence (str): What is wrong, with file and line.

        Raises:
            ValueError: With this sentence, unless bad lines are skipped.
        """
        if not self.skip:
            raise ValueError(sentence)
        self.found.append(sentence)

    def check(self, sources: Iterable[Source]) -> list[Source]:
        """Keep the sources whose file name stays in its folder and comes once.

        Args:
            sources (Iterable[Source]): One list of images.

        Returns:
            list[Source]: The good ones; of a repeated name, the first.
        """
        seen: dict[str, str] = {}
        good = []
        for source in sources:
            try:
                check_relative(source.name, source.where)
            except ValueError as error:
                self.report(str(error))
                continue
            if source.name in seen:
                self.report(
                    f'{source.where}: image {source.name!r} was listed before ({seen[source.name]})'
                )
                continue
            seen[source.name] = source.where
            good.append(source)
        return good
