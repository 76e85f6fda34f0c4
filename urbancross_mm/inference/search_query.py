"""What is searched for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ImageQuery = str | Path | np.ndarray


@dataclass(frozen=True)
class Query:
    """What is searched for. Terms of all kinds may stand together.

    Attributes:
        texts (Sequence[str]): Their embeddings are averaged.
        images (Sequence): Paths, or uint8 RGB arrays ``(H, W, 3)``; averaged with the texts.
        likes (Sequence[str]): Ids of items that were marked as right.
        minus_texts (Sequence[str]): What the hits should show less of.
        minus_images (Sequence): The same by images.
        dislikes (Sequence[str]): Ids of items that were marked as wrong.
        recordings (Sequence): Paths of spoken queries, for a model with an audio encoder.
    """

    texts: Sequence[str] = ()
    images: Sequence[ImageQuery] = ()
    likes: Sequence[str] = ()
    minus_texts: Sequence[str] = ()
    minus_images: Sequence[ImageQuery] = ()
    dislikes: Sequence[str] = ()
    recordings: Sequence[str | Path] = ()

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, str | Path | np.ndarray):
                raise ValueError(f'{name} of a query must be a list, got {value!r:.80}')
        if not (self.texts or self.images or self.likes or self.recordings):
            raise ValueError(
                'the query is empty: it needs a text, an image or an item that is liked; what is '
                'taken away from nothing finds nothing'
            )


def single_query(text: str | None, image: ImageQuery | None, audio: str | Path | None) -> Query:
    """The query of one text, one image or one recording.

    Args:
        text (str | None): A text.
        image (str | Path | np.ndarray | None): An image.
        audio (str | Path | None): A recording.

    Returns:
        Query: With this one term.

    Raises:
        ValueError: If not exactly one is given, or the text is empty.
    """
    if sum(term is not None for term in (text, image, audio)) != 1:
        raise ValueError(
            'give exactly one of a text, an image and a recording; '
            f'got {text!r}, {image!r:.80} and {audio!r}'
        )
    if image is not None:
        return Query(images=[image])
    return Query(recordings=[audio]) if audio is not None else Query(texts=[text or ''])
