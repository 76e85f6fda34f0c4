"""Words of a caption, and the vocabulary files that number them."""

from __future__ import annotations

import re

from urbancross_mm.utils.text_files import read_json

UNKNOWN = '<unk>'
MOST_IDS_A_WORD = 100
# Runs of letters and digits of any script; an inner apostrophe or hyphen belongs to the word.
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def split_words(text: str) -> list[str]:
    """Split a text as ``VocabTokenizer`` does.

    Args:
        text (str): A caption.

    Returns:
        list[str]: Its words in lower case.

    Examples:
        >>> split_words("It's a two-storey house.")
        ["it's", 'a', 'two-storey', 'house']
    """
    return WORD.findall(text.lower())


def read_vocabulary(path: str) -> dict[str, int]:
    """Word to id, from a file in the published form or of the mapping alone."""
    content = read_json(path)
    words = content.get('word2idx', content) if isinstance(content, dict) else None
    if (
        not isinstance(words, dict)
        or not words
        or not all(type(number) is int and number > 0 for number in words.values())
    ):
        raise ValueError(f'{path} must map words to ids from 1 on, alone or as "word2idx"')
    if UNKNOWN not in words:
        raise ValueError(f'{path} lacks {UNKNOWN!r}, the word for unknown words')
    # The largest id decides the size of an embedding.
    if max(words.values()) > MOST_IDS_A_WORD * len(words) + MOST_IDS_A_WORD:
        raise ValueError(
            f'{path} has {len(words)} words and the id {max(words.values())}: ids must '
            'number the words'
        )
    return words
