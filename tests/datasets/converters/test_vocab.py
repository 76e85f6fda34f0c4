"""Vocabularies and what the tokenizer reads from them."""

from __future__ import annotations

import json

from urbancross_mm.datasets.converters.vocab import build_vocabulary, encode_vocabulary
from urbancross_mm.datasets.tokenizers import VocabTokenizer

CAPTIONS = ['A gray roof .', 'a green roof', 'A church']


def test_frequent_words_come_first_and_unknown_last():
    assert build_vocabulary(CAPTIONS) == {
        'a': 1,
        'roof': 2,
        'church': 3,
        'gray': 4,
        'green': 5,
        '<unk>': 6,
    }


def test_rare_words_are_left_out():
    assert build_vocabulary(CAPTIONS, min_count=2) == {'a': 1, 'roof': 2, '<unk>': 3}


def test_the_file_has_the_published_layout_and_the_tokenizer_reads_it(tmp_path):
    path = tmp_path / 'vocab.json'
    path.write_text(encode_vocabulary(CAPTIONS, min_count=2))

    content = json.loads(path.read_text())
    assert content == dict(
        word2idx={'a': 1, 'roof': 2, '<unk>': 3},
        idx2word={'1': 'a', '2': 'roof', '3': '<unk>'},
        idx=4,
    )
    assert VocabTokenizer(str(path), max_length=4)(['a red roof']).tolist() == [[1, 3, 2, 0]]
