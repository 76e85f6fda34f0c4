"""Captions become the rows of a file."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from urbancross_mm.datasets.feature_file import write_features
from urbancross_mm.registry import TOKENIZERS

ROWS = torch.arange(6, dtype=torch.float32).view(2, 3)


@pytest.fixture
def tokenizer(tmp_path):
    file = str(tmp_path / 'f.npz')
    write_features(
        file, ['a'], np.zeros((1, 4), np.float32), ['a road', 'a lake'], ROWS.numpy(), {}
    )
    return TOKENIZERS.build(dict(type='FeatureTokenizer', file=file))


def test_rows_of_captions(tokenizer):
    result = tokenizer(['a lake', 'a road', 'a lake'])
    assert result.dtype == torch.float32 and result.equal(ROWS[[1, 0, 1]])
    assert tokenizer('a road').equal(ROWS[:1])
    assert tokenizer([]).shape == (0, 3)
    assert pickle.loads(pickle.dumps(tokenizer))(['a lake']).equal(ROWS[1:])


def test_rows_may_be_changed(tokenizer):
    tokenizer(['a road']).zero_()
    assert tokenizer(['a road']).equal(ROWS[:1])


def test_other_captions_are_named(tokenizer):
    with pytest.raises(ValueError, match="'A road'"):
        tokenizer(['a road', 'A road'])
