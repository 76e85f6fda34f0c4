"""Word vocabularies of training captions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

from urbancross_mm.datasets.vocabulary import split_words


def build_vocabulary(captions: Iterable[str], min_count: int = 1) -> dict[str, int]:
    """Number the words of captions: from 1 by falling frequency, ``<unk>`` last; 0 is padding."""
    counts = Counter(word for caption in captions for word in split_words(caption))
    words = sorted((w for w, n in counts.items() if n >= min_count), key=lambda w: (-counts[w], w))
    return {word: number for number, word in enumerate([*words, '<unk>'], 1)}


def encode_vocabulary(captions: Iterable[str], min_count: int = 1) -> str:
    """A vocabulary in the published layout, ``{word2idx, idx2word, idx}``.

    Args:
        captions (Iterable[str]): Training captions only.
        min_count (int): Rarer words become ``<unk>``. Defaults to 1.

    Returns:
        str: Content of a ``.json`` file.
    """
    words = build_vocabulary(captions, min_count)
    content = dict(
        word2idx=words, idx2word={str(n): word for word, n in words.items()}, idx=len(words) + 1
    )
    return json.dumps(content, ensure_ascii=False, indent=1) + '\n'
