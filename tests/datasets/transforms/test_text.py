"""Texts to tokens inside a pipeline."""

from __future__ import annotations

import json

import torch

from urbancross_mm.datasets import TokenizeText


def test_builds_its_tokenizer_and_takes_no_texts(tmp_path):
    (tmp_path / 'v.json').write_text(json.dumps({'road': 1, '<unk>': 2}))
    config = dict(type='VocabTokenizer', vocab_file=str(tmp_path / 'v.json'), max_length=3)
    transform = TokenizeText(config)
    assert transform(dict(texts=['Road', 'a road']))['text'].tolist() == [[1, 0, 0], [2, 1, 0]]
    assert transform(dict(texts=[]))['text'].shape == (0, 3)
    assert transform.tokenizer.context_length == 3


def test_takes_any_callable():
    tokens = torch.ones(1, 2, dtype=torch.long)
    assert TokenizeText(lambda texts: tokens)(dict(texts=['x']))['text'] is tokens
