"""What a tokenizer loses of captions: ends that are cut, and words that it does not know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any

from urbancross_mm.datasets.tokenizers import split_words

# Start token, end token, and the blank that some vocabularies put before the first word.
SPECIAL = 3
# Most words that fit into CLIP's 77 tokens: a word is a token or more.
CLIP_WORDS = 75
MOST_LOOKED_AT = 20_000
# Rare words are unknown to any vocabulary; so many are not, unless it is of other captions.
MANY_UNKNOWN = 0.2


def remark_on_cut(texts: Iterable[str], tokenizer: Any, what: str) -> str:
    """Say how many distinct texts a tokenizer cuts, and how many become equal; '' if none is cut.

    ``what`` names the texts, such as 'captions of x.json'. A tokenizer without ``is_cut`` is not
    looked at.
    """
    if not hasattr(tokenizer, 'is_cut'):
        return ''
    # The first texts of a large dataset are enough; all of them would take minutes.
    texts, length = list(islice(dict.fromkeys(texts), MOST_LOOKED_AT)), tokenizer.context_length
    long = [text for text in texts if not _surely_fits(text, length)]
    cut = [text for text in long if tokenizer.is_cut(text)]
    if not cut:
        return ''
    # One that fits to the last token may be what the cut leaves of another.
    rows = {text: tokenizer([text])[0].numpy().tobytes() for text in long}
    counts = Counter(rows.values())
    equal = sum(counts[rows[text]] > 1 for text in cut)
    first = 'the first ' if len(texts) == MOST_LOOKED_AT else ''
    return (
        f'{len(cut)} of {first}{len(texts)} distinct {what} are longer than the {length} '
        f'tokens that {type(tokenizer).__name__} takes and are cut; {equal} of them become '
        'equal to another one, and ties lower mR: shorten them, or let the tokenizer take more'
    )


def remark_on_unknown(texts: Iterable[str], tokenizer: Any, what: str) -> str:
    """Say which words a vocabulary lacks most often; '' if they are few, or it spells them."""
    if not hasattr(tokenizer, 'word2idx'):
        return ''
    distinct = list(islice(dict.fromkeys(texts), MOST_LOOKED_AT))
    words = Counter(word for text in distinct for word in split_words(text))
    unknown = Counter({word: n for word, n in words.items() if word not in tokenizer.word2idx})
    share = unknown.total() / max(words.total(), 1)
    if share <= MANY_UNKNOWN:
        return ''
    most = ', '.join(repr(word) for word, _ in unknown.most_common(5))
    return (
        f'{share:.0%} of the words of {what} are unknown to {type(tokenizer).__name__}, such as '
        f'{most}: name the vocabulary of these captions, or captions of the usual words'
    )


def remark_on_words(texts: Iterable[str]) -> str:
    """Say how many distinct texts are too long for any CLIP model; '' if all may fit.

    For where the tokenizer is not known.
    """
    words = {text: text.lower().split() for text in texts}
    cut = [split for split in words.values() if len(split) > CLIP_WORDS]
    if not cut:
        return ''
    starts = Counter(
        tuple(split[:CLIP_WORDS]) for split in words.values() if len(split) >= CLIP_WORDS
    )
    equal = sum(starts[tuple(split[:CLIP_WORDS])] > 1 for split in cut)
    return (
        f'{len(cut)} of {len(words)} distinct captions have more than {CLIP_WORDS} words, so '
        f'a tokenizer with 77 tokens, as CLIP has, cuts them; {equal} of them become equal to '
        'another one'
    )


def _surely_fits(text: str, length: int) -> bool:
    """No ASCII character is more than one token; others may be several."""
    return text.isascii() and len(text) + SPECIAL <= length
