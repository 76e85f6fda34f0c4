"""What a dataset card is made of, whatever it is written as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Share:
    """A part of a whole in [0, 1], drawn as a bar where there can be one."""

    value: float


Value = str | int | float | Share


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """Columns with a name each, and rows of values."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]


@dataclass(frozen=True)
class Figure:
    """An image, uint8 RGB ``(H, W, 3)``.

    Attributes:
        name (str): Part of a file name.
        pixels (np.ndarray): The image.
        title (str): What it shows.
    """

    name: str
    pixels: np.ndarray
    title: str


@dataclass(frozen=True)
class Sample:
    """An image of the dataset with what is known of it."""

    figure: Figure
    lines: Sequence[str]


@dataclass(frozen=True)
class Gallery:
    """Samples side by side."""

    samples: Sequence[Sample]


Block = Text | Table | Figure | Gallery


@dataclass
class Section:
    """A heading and what follows it."""

    title: str
    blocks: list[Block] = field(default_factory=list)


@dataclass
class Card:
    """A whole card."""

    title: str
    sections: list[Section] = field(default_factory=list)


def value_text(value: Value) -> str:
    """A value as text: whole numbers grouped by thousands, others with two digits.

    Args:
        value (Value): Of a table.

    Returns:
        str: The text.
    """
    if isinstance(value, Share):
        return f'{100 * value.value:.1f} %'
    if isinstance(value, str):
        return value
    return f'{value:,}' if isinstance(value, int) else f'{value:.2f}'
