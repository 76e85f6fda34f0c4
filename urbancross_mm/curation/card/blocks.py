"""Parts of a dataset card, independent of its format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Share:
    """A share in [0, 1]; HTML shows it as a bar."""

    value: float


Value = str | int | float | Share


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """Named columns, and rows of values."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]

    @property
    def numeric(self) -> list[bool]:
        """Whether each column has numbers only."""
        return [
            bool(self.rows) and all(not isinstance(row[index], str | Share) for row in self.rows)
            for index in range(len(self.columns))
        ]


@dataclass(frozen=True)
class Figure:
    """An image, uint8 RGB ``(H, W, 3)``.

    Attributes:
        name (str): Part of its file name.
        pixels (np.ndarray): The image.
        title (str): Text below it.
    """

    name: str
    pixels: np.ndarray
    title: str


@dataclass(frozen=True)
class Sample:
    """An image of the dataset with lines of text."""

    figure: Figure
    lines: Sequence[str]


@dataclass(frozen=True)
class Gallery:
    """Samples side by side."""

    samples: Sequence[Sample]


Block = Text | Table | Figure | Gallery


@dataclass
class Section:
    """A heading and its blocks."""

    title: str
    blocks: list[Block] = field(default_factory=list)


@dataclass
class Card:
    """A whole card."""

    title: str
    sections: list[Section] = field(default_factory=list)


def value_text(value: Value) -> str:
    """A value as text: integers with thousands separators, floats with two digits."""
    if isinstance(value, Share):
        return f'{100 * value.value:.1f} %'
    if isinstance(value, str):
        return value
    return f'{value:,}' if isinstance(value, int) else f'{value:.2f}'
