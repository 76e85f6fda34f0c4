"""Against the transformers model itself."""

from pathlib import Path

import pytest
import torch
import transformers

from urbancross_mm.models import HuggingFaceTextEncoder

SMALL = dict(
    vocab_size=40,
    hidden_size=16,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=16,
)


@pytest.fixture(scope='module')
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp('bert')
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(**SMALL)).save_pretrained(folder)
    return str(folder)


def tokens() -> torch.Tensor:
    rows = torch.randint(1, 40, (3, 9))
    rows[0, 4:] = rows[1, 7:] = 0
    return rows


@pytest.mark.parametrize('pool', ['mean', 'cls', 'pooler'])
def test_equals_the_model(pool: str, bert: str) -> None:
    rows = tokens()
    encoder = HuggingFaceTextEncoder(bert, pool=pool).eval()
    encoder.init_weights()  # the Runner calls it: the weights stay
    model = transformers.AutoModel.from_pretrained(bert).eval()
    with torch.no_grad():
        got = encoder(rows)
        for row, words in zip(got, rows):
            words = words[words != 0]
            out = model(input_ids=words[None])
            states = out.last_hidden_state[0]
            expected = dict(mean=states.mean(0), cls=states[0], pooler=out.pooler_output[0])[pool]
            torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-5)
    assert encoder.embed_dim == 16


@pytest.mark.parametrize('pool', ['mean', 'cls', 'pooler'])
def test_features_before_the_projection(pool: str, bert: str) -> None:
    encoder = HuggingFaceTextEncoder(bert, embed_dim=5, pool=pool).eval()
    plain = HuggingFaceTextEncoder(bert, pool=pool).eval()
    rows = tokens()
    assert torch.equal(encoder.pooled(rows), plain(rows))
    assert torch.equal(encoder.projection(encoder.pooled(rows)), encoder(rows))


def test_projection_and_frozen(bert: str) -> None:
    encoder = HuggingFaceTextEncoder(bert, embed_dim=5, frozen=True).train()
    assert not encoder.model.training
    encoder(tokens()).sum().backward()
    assert encoder.projection.weight.grad is not None
    assert all(p.grad is None for p in encoder.model.parameters())


def test_trainable_layers(bert: str) -> None:
    encoder = HuggingFaceTextEncoder(bert, trainable_layers=1)
    trained = {
        name.split('.')[2] for name, p in encoder.model.named_parameters() if p.requires_grad
    }
    assert trained == {'2'}
    with pytest.raises(ValueError, match=r'\[0, 3\], got 4'):
        HuggingFaceTextEncoder(bert, trainable_layers=4)


def test_empty_text(bert: str) -> None:
    encoder = HuggingFaceTextEncoder(bert)
    out = encoder(torch.zeros(2, 5, dtype=torch.long))
    out.sum().backward()
    assert out.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


def test_encoder_of_t5(tmp_path: Path) -> None:
    config = transformers.T5Config(
        vocab_size=40, d_model=16, d_kv=8, d_ff=16, num_layers=2, num_heads=2
    )
    transformers.T5Model(config).save_pretrained(tmp_path)
    encoder = HuggingFaceTextEncoder(str(tmp_path), embed_dim=6).eval()
    rows = tokens()
    torch.testing.assert_close(encoder(rows)[:1], encoder(rows[:1, :4]), rtol=1e-4, atol=1e-5)
    assert not any('decoder' in name for name, _ in encoder.named_parameters())


def test_text_tower_of_clip(tmp_path: Path) -> None:
    """CLIP pads with its end token: the first one is the end, the others are padding."""
    text = dict(SMALL, eos_token_id=39, bos_token_id=38, pad_token_id=39)
    vision = dict(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=16,
    )
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    transformers.CLIPModel(config).save_pretrained(tmp_path)
    encoder = HuggingFaceTextEncoder(str(tmp_path), pool='pooler').eval()
    short = torch.tensor([[38, 5, 6, 39]])
    padded = torch.tensor([[38, 5, 6, 39, 39, 39]])
    assert encoder.attention_mask(padded).tolist() == [[True] * 4 + [False] * 2]
    torch.testing.assert_close(encoder(short), encoder(padded), rtol=1e-4, atol=1e-5)
    assert not any('vision' in name for name, _ in encoder.named_parameters())


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        HuggingFaceTextEncoder(str(tmp_path / 'none'))
    message = str(caught.value)
    assert 'none' in message and 'local folder' in message and '\n' not in message


def test_not_a_text_model(tmp_path: Path) -> None:
    (tmp_path / 'config.json').write_text('{"model_type": "no such thing"}')
    with pytest.raises(ValueError, match='cannot be loaded') as caught:
        HuggingFaceTextEncoder(str(tmp_path))
    assert '\n' not in str(caught.value)


def test_unknown_pool(bert: str) -> None:
    with pytest.raises(ValueError, match='last'):
        HuggingFaceTextEncoder(bert, pool='last')
