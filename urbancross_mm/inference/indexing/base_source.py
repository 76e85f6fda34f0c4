"""What an index is built from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from typing import Any

from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.image_files import EncodedFiles
from urbancross_mm.utils.hashing import FileStamp

# Attributes that the index or a search sets, so that no source can.
RESERVED = ('id', 'rank', 'score', 'stamp', 'source', 'duplicate_of', 'from_table')
# Attributes that are texts even where they look like numbers: the year 2021, the country 007.
TEXTS = ('date', 'country')


class BaseSource(ABC):
    """Items in a fixed order, known by their ids wherever the files lie.

    Attributes:
        name (str): First part of every id, and the attribute ``source`` of every item.
        path (str): What was given, for messages.
        files (list[str]): The files that items show, by their path below the source.
        remark (str): What a user should know of the source; '' if nothing.
        origin (str): The folder or the raster that ``img_path`` comes from; '' if there is none.
        missing (Sequence[str]): Folders and files below the source that cannot be read now. What
            the index has of them stays.
    """

    name: str
    path: str
    files: Sequence[str]
    remark: str = ''
    origin: str = ''
    missing: Sequence[str] = ()

    @abstractmethod
    def __len__(self) -> int:
        """Number of items."""

    @abstractmethod
    def id_of(self, position: int) -> str:
        """Id of an item: the name of the source, a slash, and the path below it."""

    @abstractmethod
    def file_of(self, position: int) -> str:
        """The one of ``files`` that an item shows."""

    @abstractmethod
    def attributes(self, position: int) -> dict[str, Any]:
        """What is known of an item without looking at its pixels, as JSON values."""

    @abstractmethod
    def renewed(self, position: int, stamp: FileStamp) -> FileStamp | None:
        """The stamp of an item as it is now; None if its content is another."""

    @abstractmethod
    def encode(
        self, positions: Sequence[int], embedder: Embedder, skip_bad: bool
    ) -> Iterator[EncodedFiles]:
        """Encode items in small batches. Positions that come back count in ``positions``."""

    def check_model(self, embedder: Embedder) -> None:  # noqa: B027  images fit every model
        """Refuse a model that the source does not fit; before any work."""


def refuse_equal_names(sources: Sequence[BaseSource]) -> None:
    """Check that the ids of several sources differ."""
    first: dict[str, BaseSource] = {}
    for source in sources:
        other = first.setdefault(source.name, source)
        if other is not source:
            raise ValueError(
                f'{other.path} and {source.path} would both be called {source.name!r} in the '
                f'index: give one another name, as in other={source.path}'
            )


def plain(values: Mapping[str, Any], without: Sequence[str] = ()) -> dict[str, Any]:
    """Values that JSON can hold; what is missing is left out."""
    return {
        str(key): str(value)
        if key in TEXTS and isinstance(value, int | float)
        else _plain_value(value)
        for key, value in values.items()
        if key not in without and value is not None and value == value  # not NaN
    }


def _plain_value(value: Any) -> Any:
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, Sequence):
        return [_plain_value(element) for element in value]
    if isinstance(value, date | time):  # a date with a time is a date as well
        return value.isoformat()
    return str(value)  # a decimal number
