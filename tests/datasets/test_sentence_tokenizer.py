"""Long texts become rows of sentences."""

import pickle
from typing import Any

import pytest
import torch

from urbancross_mm.datasets import OpenCLIPTokenizer, SentenceTokenizer
from urbancross_mm.datasets.caption_lengths import remark_on_cut
from urbancross_mm.datasets.tokenizers import BaseTokenizer
from urbancross_mm.registry import TOKENIZERS


class Letters(BaseTokenizer):
    """A token per word, its length; five of them."""

    def __init__(self) -> None:
        super().__init__(5, 100, 0)
        self.calls = 0

    def encode(self, text: str) -> list[int]:
        self.calls += 1
        return [len(word) for word in text.split()][:5]

    def is_cut(self, text: str) -> bool:
        return len(text.split()) > 5

    def unknown_words(self, text: str) -> list[str]:
        return ['x'] if 'x' in text else []


LONG = 'A red roof. Two boats near a pier! Many trees.'


def test_a_text_that_fits_is_one_row() -> None:
    tokenizer = SentenceTokenizer(Letters(), max_sentences=3)
    rows = tokenizer(['two. short ones', LONG])
    assert rows.shape == (2, 3, 5) and rows.dtype == torch.long
    assert rows[0].tolist() == [[4, 5, 4 - 0, 0, 0], [-1] * 5, [-1] * 5]
    assert rows[1].tolist() == [[1, 3, 5, 0, 0], [3, 5, 4, 1, 5], [4, 6, 0, 0, 0]]
    assert tokenizer([]).shape == (0, 3, 5)


@pytest.mark.parametrize(
    'text, parts',
    [
        (LONG, ['A red roof.', 'Two boats near a pier!', 'Many trees.']),
        ('a b c d e f g', ['a b c', 'd e f g']),
        ('a b c d e f g h i j k. l', ['a b c d e', 'f g h', 'i j k.', 'l']),
        ('一 屋 。二 树！ 三 河 四', ['一 屋 。', '二 树！', '三 河 四']),
        ('one\ntwo three four five six', ['one', 'two three four five six']),
    ],
)
def test_where_a_text_is_split(text: str, parts: list[str]) -> None:
    tokenizer = SentenceTokenizer(Letters())
    assert tokenizer.sentences(text) == parts
    assert not tokenizer.is_cut(text)


def test_what_is_lost() -> None:
    tokenizer = SentenceTokenizer(Letters(), max_sentences=2)
    assert tokenizer.is_cut(LONG) and not tokenizer.is_cut('a b c d e. f')
    assert '1 of 2 distinct captions' in remark_on_cut([LONG, 'a b'], tokenizer, 'captions')
    assert tokenizer.unknown_words('x y') == ['x']

    class Never(Letters):
        def is_cut(self, text: str) -> bool:
            return True

    assert SentenceTokenizer(Never()).sentences('word') == ['word']
    assert SentenceTokenizer(Never()).is_cut('word')
    with pytest.raises(ValueError, match='0'):
        SentenceTokenizer(Letters(), max_sentences=0)


def test_a_caption_is_split_once() -> None:
    inner = Letters()
    tokenizer = SentenceTokenizer(inner)
    first = tokenizer([LONG])
    calls = inner.calls
    again = tokenizer([LONG])
    assert torch.equal(first, again) and inner.calls == calls
    again[:] = 0  # rows are not shared
    assert torch.equal(tokenizer([LONG]), first)
    assert pickle.loads(pickle.dumps(SentenceTokenizer(OpenCLIPTokenizer())))._cache == {}


def test_more_than_77_tokens_of_clip() -> None:
    cfg: dict[str, Any] = dict(type='SentenceTokenizer', tokenizer=dict(type='OpenCLIPTokenizer'))
    tokenizer = TOKENIZERS.build(cfg)
    sentence = 'Many green trees are near a long winding river with a bridge.'
    rows = tokenizer([' '.join([sentence] * 7), sentence])
    assert rows.shape == (2, 8, 77)
    (alone,) = tokenizer.inner([sentence])
    assert all(torch.equal(row, alone) for row in rows[0, :7])
    assert torch.equal(rows[1, 0], alone) and rows[1, 1:].eq(-1).all()
    assert (tokenizer.vocab_size, tokenizer.pad_id, tokenizer.longest) == (49408, 0, 77)
