"""Texts of several sentences."""

import torch

from urbancross_mm.functional.sentences import NO_SENTENCE, mean_over_sentences

TABLE = torch.randn(10, 4)


def encode(tokens: torch.Tensor) -> torch.Tensor:
    return TABLE[tokens].mean(dim=1)


def test_the_mean_of_the_sentences_that_are_there() -> None:
    text = torch.full((3, 3, 2), NO_SENTENCE)
    text[0, 0] = torch.tensor([1, 2])
    text[1] = torch.tensor([[3, 4], [5, 6], [7, 8]])
    text[2, :2] = torch.tensor([[1, 1], [9, 9]])
    wanted = [encode(rows[rows[:, 0] >= 0]).mean(dim=0) for rows in text]
    torch.testing.assert_close(mean_over_sentences(encode, text), torch.stack(wanted))


def test_other_inputs_pass() -> None:
    tokens, images = torch.tensor([[1, 2], [3, 4]]), torch.rand(2, 3, 4, 4)
    assert torch.equal(mean_over_sentences(encode, tokens), encode(tokens))
    assert torch.equal(mean_over_sentences(lambda x: x, images), images)
    floats = torch.rand(2, 3, 4)
    assert torch.equal(mean_over_sentences(lambda x: x, floats), floats)


def test_no_text() -> None:
    empty = torch.zeros(0, 3, 2, dtype=torch.long)
    assert mean_over_sentences(encode, empty).shape == (0, 4)


def test_every_sentence_gets_its_share_of_the_gradient() -> None:
    table = TABLE.clone().requires_grad_(True)
    text = torch.tensor([[[1], [2]], [[3], [NO_SENTENCE]]])
    mean_over_sentences(lambda tokens: table[tokens[:, 0]], text).sum().backward()
    assert table.grad is not None
    assert table.grad[1:4].eq(torch.tensor([[0.5], [0.5], [1.0]])).all()
    assert table.grad.sum() == 8
