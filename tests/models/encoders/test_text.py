"""Padding does not change a text; an empty one is no accident."""

import pytest
import torch
from torch import nn

from urbancross_mm.models import GRUTextEncoder, SkipThoughtsEncoder, TextCNNEncoder
from urbancross_mm.registry import TOKENIZERS

ENCODERS = {
    'gru-last': lambda **kw: GRUTextEncoder(pool='last', hidden_dim=6, **kw),
    'gru-mean': lambda **kw: GRUTextEncoder(pool='mean', hidden_dim=6, **kw),
    'gru-max': lambda **kw: GRUTextEncoder(pool='max', hidden_dim=6, num_layers=2, **kw),
    'gru-forward': lambda **kw: GRUTextEncoder(bidirectional=False, hidden_dim=6, **kw),
    'skip-thoughts': lambda **kw: SkipThoughtsEncoder(hidden_dim=6, **kw),
    'cnn': lambda **kw: TextCNNEncoder(num_filters=5, **kw),
}


def build(name: str) -> nn.Module:
    return ENCODERS[name](vocab_size=30, embed_dim=7, word_dim=4).eval()


@pytest.mark.parametrize('name', list(ENCODERS))
def test_padding_changes_nothing(name: str) -> None:
    encoder = build(name)
    words = [[3, 4, 5, 6, 7, 8], [9], [10, 11, 12]]
    for row in words:
        alone = encoder(torch.tensor([row]))
        padded = torch.zeros(len(words), 12, dtype=torch.long)
        for i, other in enumerate(words):
            padded[i, : len(other)] = torch.tensor(other)
        together = encoder(padded)[words.index(row)]
        torch.testing.assert_close(together, alone[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('name', list(ENCODERS))
def test_the_padding_id_within_a_text_is_a_word(name: str) -> None:
    """GPT-2's rows may begin with the token that pads them."""
    encoder = build(name)
    whole, cut = encoder(torch.tensor([[0, 4, 5, 0, 0], [0, 4, 0, 0, 0]]))
    torch.testing.assert_close(encoder(torch.tensor([[0, 4, 5]]))[0], whole, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(whole, cut)


@pytest.mark.parametrize('name', list(ENCODERS))
def test_features_before_the_projection(name: str) -> None:
    encoder = build(name)
    rows = torch.randint(1, 30, (3, 6))
    feats = encoder.pooled(rows)
    assert feats.shape == (3, encoder.projection.in_features)
    expected = encoder.projection(feats)
    assert torch.equal(expected.relu() if name == 'skip-thoughts' else expected, encoder(rows))


@pytest.mark.parametrize('name', list(ENCODERS))
def test_empty_text(name: str) -> None:
    encoder = build(name)
    out = encoder(torch.zeros(2, 5, dtype=torch.long))
    assert out.shape == (2, 7) and out.isfinite().all()
    out.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


@pytest.mark.parametrize('name', list(ENCODERS))
def test_order_and_gradient(name: str) -> None:
    encoder = build(name)
    out = encoder(torch.tensor([[1, 2, 3], [3, 2, 1]]))
    assert not torch.allclose(out[0], out[1])
    out.sum().backward()
    assert encoder.words.weight.grad[1:4].abs().sum() > 0
    assert encoder.words.weight.grad[0].abs().sum() == 0


@TOKENIZERS.register_module()
class _TokenizerOfModelTests:
    vocab_size, pad_id, context_length = 17, 3, 5


@pytest.mark.parametrize('kind', [GRUTextEncoder, SkipThoughtsEncoder, TextCNNEncoder])
def test_vocabulary_of_the_tokenizer(kind: type) -> None:
    encoder = kind(dict(type='_TokenizerOfModelTests'), embed_dim=4, word_dim=4).eval()
    assert encoder.words.num_embeddings == 17 and encoder.pad_id == 3
    torch.testing.assert_close(
        encoder(torch.tensor([[1, 2]])), encoder(torch.tensor([[1, 2, 3, 3]]))
    )


@pytest.mark.parametrize('kwargs', [{}, dict(vocab_size=4, tokenizer=dict(type='X'))])
def test_exactly_one_vocabulary(kwargs: dict) -> None:
    with pytest.raises(ValueError, match='vocab_size'):
        TextCNNEncoder(**kwargs)


def test_unknown_pool() -> None:
    with pytest.raises(ValueError, match='first'):
        GRUTextEncoder(vocab_size=4, pool='first')
