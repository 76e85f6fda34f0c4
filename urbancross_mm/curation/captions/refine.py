"""Cleaning captions: pure functions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

Count = Callable[[str], int]

# Each is matched at the start of a sentence, in lower case and with straight apostrophes.
REFUSALS = (
    r"(?:i am|i'm) (?:\w+ )?sorry",
    r'sorry\b',
    r'i (?:\w+ )?apologi[sz]e',
    r"(?:unfortunately,? )?(?:but )?i (?:can't|cannot|can not|am (?:unable|not able)|couldn't"
    r"|could not|do not have|don't have)\b",
    r"(?:unfortunately,? )?i'm (?:unable|not able)\b",
    r'.*\bas an? (?:ai|artificial intelligence|(?:large )?language model|text-based)\b',
    r'(?:there is )?no image\b.*\b(?:provided|attached|given)\b',
    r'please (?:provide|upload|attach)\b',
)
# An end mark needs white space after it, except in CJK scripts.
_SENTENCE_END = re.compile(
    r'(?<=[.!?…।؟۔])["\'”’»)\]]*\s+|'
    r'(?<=[。！？])["”’」』）]*\s*(?![。！？])'
)
_ABBREVIATION = re.compile(
    r'(?:^|[\s(])(?:approx|ca|dr|e\.g|fig|i\.e|mr|mrs|ms|no|nr|sq|'
    r'st|vs)\.$',
    re.IGNORECASE,
)
_INITIAL = re.compile(r'(?:^|[\s(])([^\W\d_])\.$')
_NO_BLANK_BEHIND = tuple('。！？」』）')
_WORD = re.compile(r'\w+')
# Zero-width characters and byte order marks, which are not white space.
_INVISIBLE = re.compile('[\u200b\u2060\ufeff]')
# A word that is cut may have a few tokens more than the whole word.
_TOKENS_OF_A_CUT = 8


def clean_space(text: str) -> str:
    """A text on one line: single spaces, no control characters.

    Examples:
        >>> clean_space(' a  red\\n roof ')
        'a red roof'
    """
    text = _INVISIBLE.sub('', text)
    text = ''.join(' ' if unicodedata.category(letter) == 'Cc' else letter for letter in text)
    return ' '.join(text.split())


def split_sentences(text: str) -> list[str]:
    """Split a text into sentences. A line break ends a sentence; ``St. Mary`` stays whole."""
    sentences: list[str] = []
    for line in text.splitlines():
        start, clean = 0, clean_space(line)
        for end in _SENTENCE_END.finditer(clean):
            piece = clean[start : end.end()].strip()
            if _ends(piece):
                sentences.append(piece)
                start = end.end()
        sentences.append(clean[start:].strip())
    return [piece for piece in sentences if piece]


def words_of(text: str) -> tuple[str, ...]:
    """Words for comparison: lower case, no punctuation, Unicode-normalized."""
    return tuple(_WORD.findall(unicodedata.normalize('NFKC', text).casefold()))


def find_refusal(sentences: Iterable[str], patterns: Sequence[str] = REFUSALS) -> str | None:
    """The first sentence in which the model talks about itself instead of the image."""
    for sentence in sentences:
        plain = sentence.replace('’', "'").lower().lstrip('"\'“‘*-• ')
        if any(re.match(pattern, plain) for pattern in patterns):
            return sentence
    return None


def drop_repeats(sentences: Iterable[str]) -> list[str]:
    """Leave out sentences without words, or with the same words as an earlier one."""
    seen: set[tuple[str, ...]] = set()
    kept = []
    for sentence in sentences:
        key = words_of(sentence)
        if key and key not in seen:
            seen.add(key)
            kept.append(sentence)
    return kept


def fit(sentences: Sequence[str], count: Count, max_tokens: int) -> str:
    """The first sentences that together have at most ``max_tokens`` tokens.

    A first sentence that is too long is cut after a word or, in a script without spaces, after a
    letter. ``count`` includes begin and end tokens.
    """

    def fits(text: str) -> bool:
        return _fits(text, count, max_tokens)

    kept = ''
    for sentence in sentences:
        longer = _joined(kept, sentence)
        if not fits(longer):
            break
        kept = longer
    if kept or not sentences:
        return kept
    parts = sentences[0].split()
    number = _largest(min(len(parts), max_tokens), lambda n: fits(' '.join(parts[:n])))
    if number:
        return ' '.join(parts[:number]).rstrip(',;:-–—(')
    letters = parts[0]
    number = _largest(len(letters), lambda n: fits(letters[:n]))
    # A combining mark belongs to the letter before it.
    while 0 < number < len(letters) and unicodedata.combining(letters[number]):
        number -= 1
    return letters[:number]


def refine_caption(
    text: str, count: Count, max_tokens: int, refusals: Sequence[str] = REFUSALS
) -> tuple[str, str]:
    """The cleaned caption and, if it is empty, the reason."""
    sentences = split_sentences(text)
    if not sentences:
        return '', 'empty caption'
    refusal = find_refusal(sentences, refusals)
    if refusal is not None:
        return '', f'refusal: {refusal[:60]!r}'
    sentences = drop_repeats(sentences)
    if not sentences:
        return '', 'caption without a word'
    caption = fit(sentences, count, max_tokens)
    return caption, '' if caption else f'nothing of the caption fits into {max_tokens} tokens'


def refine_captions(
    texts: Iterable[str], count: Count, max_tokens: int, refusals: Sequence[str] = REFUSALS
) -> tuple[list[str], str]:
    """The distinct cleaned captions, and the reason of the last one that was removed."""
    kept: dict[tuple[str, ...], str] = {}
    reason = 'no caption'
    for text in texts:
        caption, why = refine_caption(text, count, max_tokens, refusals)
        if caption:
            kept.setdefault(words_of(caption), caption)
        else:
            reason = why
    return list(kept.values()), reason


def _fits(text: str, count: Count, max_tokens: int) -> bool:
    """Whether a text fits. Of a very long text only the start is counted.

    Byte-pair encoding of a script without spaces takes quadratic time.
    """
    end = 256
    while end < len(text):
        if count(text[:end]) > max_tokens + _TOKENS_OF_A_CUT:
            return False
        end *= 2
    return count(text) <= max_tokens


def _joined(text: str, sentence: str) -> str:
    blank = '' if not text or text.endswith(_NO_BLANK_BEHIND) else ' '
    return f'{text}{blank}{sentence}'


def _ends(piece: str) -> bool:
    """Whether an end mark ends a sentence: not in ``St.``, ``J. Smith`` or ``2.``, but in ``m.``"""
    bare = piece.rstrip('"\'”’»)] ')
    initial = _INITIAL.search(bare)
    return (
        bool(re.search(r'[^\W\d_]', bare))
        and not _ABBREVIATION.search(bare)
        and not (initial and initial[1].isupper())
    )


def _largest(limit: int, holds: Callable[[int], bool]) -> int:
    """The largest number up to a limit for which a monotonic condition holds."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low
