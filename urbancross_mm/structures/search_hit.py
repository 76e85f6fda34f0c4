"""One image of a result list."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class SearchHit:
    """One image of a result list.

    Attributes:
        img_path (str): Path of the image.
        score (float): Similarity with the query (cosine unless the model fuses segments).
        relevant (bool | None): Whether the image answers the query. Defaults to None: unknown.
        caption (str): A line below the image. Defaults to ''.
        pixels (np.ndarray | None): uint8 RGB, ``(H, W, 3)``, of what is a part of an image.
            Defaults to None: those of the file.
    """

    img_path: str
    score: float
    relevant: bool | None = None
    caption: str = ''
    pixels: np.ndarray | None = field(default=None, compare=False)
