"""Which texts and recordings an item encodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from urbancross_mm.utils.paths import safe_join


class FirstUses:
    """Gives every distinct string to the first item that has it; an empty one to none.

    Args:
        items (Iterable[Sequence[str]]): The strings of each item.
    """

    def __init__(self, items: Iterable[Sequence[str]]) -> None:
        seen = {''}
        numbers: list[int] = []
        starts = [0]
        for strings in items:
            for number, string in enumerate(strings):
                if string not in seen:
                    seen.add(string)
                    numbers.append(number)
            starts.append(len(numbers))
        # Two flat arrays, not a list of lists, so that forked workers share the memory.
        self._numbers = np.array(numbers, dtype=np.int64)
        self._starts = np.array(starts, dtype=np.int64)

    def __call__(self, index: int) -> list[int]:
        """Positions of the strings that an item was given.

        Args:
            index (int): Of the item.

        Returns:
            list[int]: Maybe none.
        """
        start, end = self._starts[index : index + 2]
        return self._numbers[start:end].tolist()


def caption_audio(raw: Mapping[str, Any], captions: int, folder: str) -> list[str]:
    """The recording of each caption of an entry of an annotation file.

    Args:
        raw (Mapping): The entry.
        captions (int): Number of its captions.
        folder (str): To which the names are joined.

    Returns:
        list[str]: Paths, '' for a caption without one. A single recording is that of all captions,
        or, without captions, stands alone. Empty if there is none at all.
    """
    names = raw.get('audio_paths') or []
    paths = [safe_join(folder, name) if name else '' for name in names]
    if len(paths) == 1:
        paths *= max(captions, 1)
    return paths if any(paths) else []
