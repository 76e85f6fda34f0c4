"""One line of a result list."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SearchHit:
    """One image of a result list.

    Attributes:
        img_path (str): Where the image is.
        score (float): Similarity with the query (cosine unless the model fuses segments).
        right (bool | None): Whether it answers the query; None if nobody knows.
        caption (str): A line below the image. Defaults to ''.
    """

    img_path: str
    score: float
    right: bool | None = None
    caption: str = ''
