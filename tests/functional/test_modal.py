"""Losses of the multi-modal training against loops, at any batch size."""

import math

import pytest
import torch
from torch import Tensor

from urbancross_mm.functional.modal import (
    confusion,
    consistency,
    feature_distillation,
    length_deviation,
)

ROWS, DIM = 5, 4
LOSSES = {
    'consistency': consistency,
    'length': lambda first, second: length_deviation(first),
    'confusion': lambda first, second: confusion(first, 1, torch.Generator().manual_seed(0)),
    'distillation': feature_distillation,
    'distillation-released': lambda *pair: feature_distillation(*pair, released=True),
}


def pair(rows: int = ROWS) -> tuple[Tensor, Tensor]:
    return torch.randn(rows, DIM), torch.randn(rows, DIM)


def softmax(values: list[float], temperature: float) -> list[float]:
    powers = [math.exp(value / temperature) for value in values]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize('released', [False, True])
def test_distillation_against_a_loop(released: bool) -> None:
    student, teacher = pair()
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist()):
        p, q = softmax(t, 0.2), softmax(s, 0.2)
        total += sum(a * math.log(a / b) for a, b in zip(p, q))
    expected = total / (ROWS * DIM if released else ROWS)
    got = feature_distillation(student, teacher, released=released).item()
    assert got == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('detach', [True, False])
def test_the_teacher_learns_only_if_told(detach: bool) -> None:
    student, teacher = (feats.requires_grad_() for feats in pair())
    feature_distillation(student, teacher, detach=detach).backward()
    assert student.grad.abs().sum() > 0
    assert (teacher.grad is None) == detach


def test_equal_vectors_cost_nothing() -> None:
    feats, _ = pair()
    assert consistency(feats, feats) == 0
    assert feature_distillation(feats, feats).abs() < 1e-6
    unit = torch.nn.functional.normalize(feats, dim=1)
    assert length_deviation(unit) < 1e-6


def test_consistency_and_length_against_loops() -> None:
    first, second = pair()
    squares = [(a - b) ** 2 for x, y in zip(first.tolist(), second.tolist()) for a, b in zip(x, y)]
    assert consistency(first, second).item() == pytest.approx(sum(squares) / len(squares))
    lengths = [math.sqrt(sum(a * a for a in x)) for x in first.tolist()]
    assert length_deviation(first).item() == pytest.approx(abs(sum(lengths) / ROWS - 1))


def test_lengths_may_differ_around_one() -> None:
    """The mean counts, not each vector."""
    assert length_deviation(torch.tensor([[0.5, 0], [0, 1.5]])) == 0


def test_one_wrong_modality_a_batch_by_the_generator() -> None:
    logits, label = torch.randn(ROWS, 3), 1
    log_p = logits.log_softmax(dim=1)
    costs = {other: -log_p[:, other].mean().item() for other in (0, 2)}
    generator = torch.Generator().manual_seed(3)
    drawn = [confusion(logits, label, generator).item() for _ in range(200)]
    for value in costs.values():
        share = sum(abs(got - value) < 1e-5 for got in drawn) / len(drawn)
        assert 0.35 < share < 0.65
    again = torch.Generator().manual_seed(3)
    assert [confusion(logits, label, again).item() for _ in range(200)] == drawn


@pytest.mark.parametrize('name', list(LOSSES))
def test_no_loss_grows_with_the_batch(name: str) -> None:
    first, second = pair()
    loss = LOSSES[name](first, second)
    assert loss > 0
    torch.testing.assert_close(LOSSES[name](first.repeat(9, 1), second.repeat(9, 1)), loss)


@pytest.mark.parametrize('name', list(LOSSES))
def test_no_vector_costs_nothing(name: str) -> None:
    first, second = (feats.requires_grad_() for feats in pair(0))
    loss = LOSSES[name](first, second)
    loss.backward()
    assert loss == 0


@pytest.mark.parametrize('name', list(LOSSES))
def test_half_precision_is_computed_in_full(name: str) -> None:
    first, second = (feats.bfloat16() for feats in pair())
    loss = LOSSES[name](first, second)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, LOSSES[name](first.float(), second.float()))


def test_input_that_does_not_fit() -> None:
    first, second = pair()
    for loss in (consistency, feature_distillation):
        with pytest.raises(ValueError, match=r'\(5, 4\) and \(4, 4\)'):
            loss(first, second[:4])
    with pytest.raises(ValueError, match='temperature must be positive, got 0'):
        feature_distillation(first, second, temperature=0)
    with pytest.raises(ValueError, match='label 4 is none of 4 classes'):
        confusion(first, 4, torch.Generator())
    with pytest.raises(ValueError, match='1 classes, or there is no other'):
        confusion(first[:, :1], 0, torch.Generator())
