"""What a model does not read of a query is said in sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from urbancross_mm.datasets.tokenizers import VocabTokenizer
from urbancross_mm.inference.queries import SHOWN_WORDS, check_text, text_warnings


@pytest.fixture
def tokenizer(tmp_path: Path) -> VocabTokenizer:
    words = ('a', 'harbor', '<unk>')
    path = tmp_path / 'vocab.json'
    path.write_text(json.dumps({word: number for number, word in enumerate(words, 1)}))
    return VocabTokenizer(str(path), max_length=20)


def test_nothing_is_said_of_what_is_known(tokenizer: VocabTokenizer) -> None:
    assert text_warnings(tokenizer, 'A harbor.') == []
    assert text_warnings(lambda texts: None, 'anything') == []  # one that cannot tell


def test_unknown_words_are_named_once(tokenizer: VocabTokenizer) -> None:
    (warning,) = text_warnings(tokenizer, 'a zebra, a harbor and a zebra')
    assert "'zebra', 'and'" in warning and 'harbor' not in warning


def test_of_many_unknown_words_the_first_are_named(tokenizer: VocabTokenizer) -> None:
    words = [f'word{number}' for number in range(SHOWN_WORDS + 5)]
    (warning,) = text_warnings(tokenizer, ' '.join(words))
    assert f"'{words[SHOWN_WORDS - 1]}' and 5 more" in warning and words[SHOWN_WORDS] not in warning


def test_an_end_that_is_cut_is_said(tokenizer: VocabTokenizer) -> None:
    (warning,) = text_warnings(tokenizer, 'a harbor ' * 11)
    assert '20 tokens' in warning and 'cut' in warning


@pytest.mark.parametrize('text', ['', '  ', None, 3])
def test_a_text_needs_words(tokenizer: VocabTokenizer, text: object) -> None:
    with pytest.raises(ValueError, match=repr(text)):
        check_text(tokenizer, text)
