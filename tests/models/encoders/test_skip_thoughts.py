"""The GRU of skip-thoughts against a loop, and its published files against made-up ones."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from urbancross_mm.models import SkipThoughtsEncoder

WORD, HIDDEN, DIM, WORDS = 5, 7, 4, 12
TEXTS = torch.tensor([[3, 4, 0, 0, 0], [5, 6, 7, 8, 0], [9, 0, 0, 0, 0], [4, 3, 10, 0, 0]])


def build(**options: object) -> SkipThoughtsEncoder:
    options = {'vocab_size': WORDS, **options}
    return SkipThoughtsEncoder(embed_dim=DIM, word_dim=WORD, hidden_dim=HIDDEN, **options)


def naive(encoder: SkipThoughtsEncoder, text: Tensor, masks: list[Tensor]) -> Tensor:
    """One text, one word, one gate at a time; masks of x and of h for r, z, n."""
    on_words, on_states = masks
    weights = encoder.input_gates.weight.split(HIDDEN), encoder.state_gates.weight.split(HIDDEN)
    biases = encoder.input_gates.bias.split(HIDDEN)
    state = torch.zeros(HIDDEN)
    for word in text[text != 0]:
        x = encoder.words.weight[word]
        from_word = [weights[0][k] @ (x * on_words[k]) + biases[k] for k in range(3)]
        from_state = [weights[1][k] @ (state * on_states[k]) for k in range(3)]
        reset = torch.sigmoid(from_word[0] + from_state[0])
        update = torch.sigmoid(from_word[1] + from_state[1])
        new = torch.tanh(from_word[2] + reset * from_state[2])
        state = (1 - update) * new + update * state
    return state


def test_against_a_loop_over_words() -> None:
    encoder = build().eval()
    masks = [torch.ones(3, WORD), torch.ones(3, HIDDEN)]
    expected = torch.stack([naive(encoder, text, masks) for text in TEXTS])
    torch.testing.assert_close(encoder.pooled(TEXTS), expected)
    torch.testing.assert_close(encoder(TEXTS), encoder.projection(expected).relu())


def test_against_the_gru_of_torch() -> None:
    encoder = build().eval()
    gru = nn.GRU(WORD, HIDDEN, batch_first=True)
    gru.load_state_dict(
        dict(
            weight_ih_l0=encoder.input_gates.weight,
            weight_hh_l0=encoder.state_gates.weight,
            bias_ih_l0=encoder.input_gates.bias,
            bias_hh_l0=torch.zeros(3 * HIDDEN),
        )
    )
    for row, text in zip(encoder.pooled(TEXTS), TEXTS):
        _, last = gru(encoder.words(text[text != 0])[None])
        torch.testing.assert_close(row, last[0, 0])


def test_dropout_against_a_loop_with_one_mask_per_text(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = build(dropout=0.5).train()
    drawn: list[Tensor] = []

    def record(self: SkipThoughtsEncoder, texts: int, like: Tensor) -> Tensor:
        mask = torch.randint(0, 2, (3, texts, like.shape[1])) * 2.0
        drawn.append(mask)
        return mask

    monkeypatch.setattr(SkipThoughtsEncoder, '_mask', record)
    out = encoder.pooled(TEXTS)
    longest_first = [1, 3, 0, 2]
    for place, row in enumerate(longest_first):
        masks = [mask[:, place] for mask in drawn]
        torch.testing.assert_close(out[row], naive(encoder, TEXTS[row], masks))


def test_what_is_dropped_differs_between_texts_and_gates_only_in_training() -> None:
    encoder = build(dropout=0.25)
    mask = encoder._mask(400, torch.zeros(1, 50))
    assert mask.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert abs((mask == 0).float().mean() - 0.25) < 0.01
    assert not torch.equal(mask[0], mask[1]) and not torch.equal(mask[:, 0], mask[:, 1])
    same = TEXTS[1:2].repeat(6, 1)
    assert encoder.pooled(same).std(dim=0).max() > 0
    assert encoder.eval()._mask(4, torch.zeros(1, 5)) is None
    assert encoder.pooled(same).std(dim=0).max() < 1e-6
    assert build(dropout=0.0).train()._mask(4, torch.zeros(1, 5)) is None


def test_a_text_alone_and_every_weight() -> None:
    encoder = build().train()
    assert encoder(TEXTS[:1]).shape == (1, DIM) and encoder(TEXTS[2:3, :1]).shape == (1, DIM)
    encoder(TEXTS).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_the_published_size() -> None:
    encoder = SkipThoughtsEncoder(vocab_size=1350)
    gru = sum(
        p.numel() for part in (encoder.input_gates, encoder.state_gates) for p in part.parameters()
    )
    assert gru == pytest.approx(21.75e6, rel=1e-3)
    assert encoder.projection.weight.numel() + 512 == pytest.approx(1.23e6, rel=1e-2)


def arrays() -> dict[str, np.ndarray]:
    made = np.random.default_rng(0)
    shapes = dict(
        encoder_W=(WORD, 2 * HIDDEN),
        encoder_Wx=(WORD, HIDDEN),
        encoder_b=(2 * HIDDEN,),
        encoder_bx=(HIDDEN,),
        encoder_U=(HIDDEN, 2 * HIDDEN),
        encoder_Ux=(HIDDEN, HIDDEN),
    )
    return {name: made.normal(size=shape) for name, shape in shapes.items()}


def publish(folder: Path, **changes: np.ndarray) -> dict:
    """The three files of a small model, and a vocabulary; returns the options that read them."""
    folder.joinpath('dictionary.txt').write_text('<eos>\nUNK\nroof\nriver\nis\n')
    np.save(folder / 'utable.npy', np.arange(5 * WORD, dtype=np.float32).reshape(5, WORD))
    np.savez(folder / 'uni_skip.npz', **{**arrays(), **changes})
    words = {'river': 1, 'a': 2, 'roof': 3, '<unk>': 4}
    folder.joinpath('vocab.json').write_text(json.dumps(words))
    tokenizer = dict(type='VocabTokenizer', vocab_file=str(folder / 'vocab.json'))
    return dict(tokenizer=tokenizer, weights_dir=str(folder), vocab_size=None)


def test_the_published_files(tmp_path: Path) -> None:
    encoder = build(**publish(tmp_path)).eval()
    assert encoder.words.weight[:, 0].tolist() == [0, 15, 5, 10, 5]  # padding, river, UNK, roof
    assert encoder.words.weight[0].abs().sum() == 0
    # By the equations of the authors: reset and update in one product, the old state times u.
    model = {name: torch.tensor(value, dtype=torch.float32) for name, value in arrays().items()}
    state = torch.zeros(HIDDEN)
    for word in (1, 3):
        x = encoder.words.weight[word] / 10
        both = torch.sigmoid(
            x @ model['encoder_W'] + model['encoder_b'] + state @ model['encoder_U']
        )
        reset, update = both[:HIDDEN], both[HIDDEN:]
        new = x @ model['encoder_Wx'] + model['encoder_bx'] + state @ model['encoder_Ux'] * reset
        state = update * state + (1 - update) * new.tanh()
    with torch.no_grad():
        encoder.words.weight.div_(10)
    torch.testing.assert_close(encoder.pooled(torch.tensor([[1, 3, 0]]))[0], state)


def test_missing_files(tmp_path: Path) -> None:
    options = publish(tmp_path)
    (tmp_path / 'utable.npy').unlink()
    with pytest.raises(FileNotFoundError, match=rf'{tmp_path} lacks utable.npy.*GRUTextEncoder'):
        build(**options)


def pickled() -> bytes:
    held = io.BytesIO()
    np.save(held, np.array([{'a': 1}], dtype=object), allow_pickle=True)
    return held.getvalue()


def wide() -> bytes:
    held = io.BytesIO()
    np.save(held, np.zeros((5, WORD + 1), np.float32))
    return held.getvalue()


@pytest.mark.parametrize(
    'name, content, message',
    [
        ('utable.npy', pickled(), 'utable.npy is not a readable array'),
        ('utable.npy', b'no array', 'utable.npy is not a readable array'),
        ('utable.npy', wide(), rf'word_dim={WORD}.*\(5, {WORD + 1}\)'),
        ('uni_skip.npz', b'no archive', 'uni_skip.npz is not a readable weights file'),
        ('dictionary.txt', b'roof\nriver\n', "'UNK'"),
        ('dictionary.txt', b'UNK\na\nb\nc\nd\ne\nf', 'has rows, 5; it has 7'),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    options = publish(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_weights_of_another_size(tmp_path: Path) -> None:
    options = publish(tmp_path, encoder_U=np.zeros((HIDDEN, HIDDEN)))
    with pytest.raises(ValueError, match=r'encoder_U of shape \(7, 14\), got \(7, 7\)'):
        build(**options)


def test_a_tokenizer_without_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='VocabTokenizer'):
        build(**{**publish(tmp_path), 'tokenizer': None, 'vocab_size': 5})
