"""Guessed pairs: the memory, the guess, and the loss that follows from it."""

import math
from typing import Any

import pytest
import torch
from mmengine.logging import MMLogger
from torch import Tensor

from tests.models.helpers import domain_batch
from urbancross_mm.functional import transport
from urbancross_mm.functional.neighbors import csls, mutual_nearest
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.models import OptimalTransportPairingLoss, PseudoPairLoss
from urbancross_mm.models.adaptation.losses.pairing_loss import (
    BasePairingLoss,
    Items,
    soft_cross_entropy,
)
from urbancross_mm.structures import CurriculumStage

DIM = 16
LOSSES = [OptimalTransportPairingLoss, PseudoPairLoss]


def build(
    kind: type[BasePairingLoss] = OptimalTransportPairingLoss, **kwargs: Any
) -> BasePairingLoss:
    loss = kind(**{'memory_size': 20, 'min_items': 8, **kwargs})
    loss.set_embed_dim(DIM)
    return loss


def guess(loss: BasePairingLoss, images: Tensor, texts: Tensor) -> Tensor:
    """The pairs of items whose ids say nothing."""
    return loss.pairing(*(Items(rows, torch.zeros(len(rows)).long()) for rows in (images, texts)))


def naive_cross_entropy(logits: Tensor, mass: Tensor) -> float:
    """One row at a time; rows without mass do not count."""
    rows = []
    for scores, masses in zip(logits.tolist(), mass.tolist()):
        if sum(masses) > 0:
            log_total = math.log(sum(math.exp(score) for score in scores))
            rows.append(sum(m / sum(masses) * (log_total - s) for s, m in zip(scores, masses)))
    return sum(rows) / max(len(rows), 1)


@pytest.mark.parametrize('empty', [(), (1,), (0, 1, 2)])
def test_soft_cross_entropy_against_a_loop(empty: tuple[int, ...]) -> None:
    logits, mass = torch.randn(3, 5, requires_grad=True), torch.rand(3, 5)
    mass[list(empty)] = 0
    loss = soft_cross_entropy(logits, mass)
    assert loss.item() == pytest.approx(naive_cross_entropy(logits, mass), rel=1e-5)
    loss.backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad.abs().sum(1) > 0).tolist() == [row not in empty for row in range(3)]


def test_certain_pairs_give_the_plain_cross_entropy() -> None:
    logits = torch.randn(4, 4)
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([2, 0, 3, 1]))
    torch.testing.assert_close(soft_cross_entropy(logits, 7 * torch.eye(4)[[2, 0, 3, 1]]), expected)


@pytest.mark.parametrize('kind', LOSSES)
def test_the_memory_grows_to_its_size_newest_first(kind: type[BasePairingLoss]) -> None:
    loss = build(kind)
    batches = [domain_batch(3, count) for count in (6, 6, 5, 6)]
    for count, batch in zip((6, 12, 17, 20), batches):
        loss(batch)
        assert int(loss.filled) == count and len(loss.images) == 20
    for memory, name in ((loss.images, 'target_image'), (loss.texts, 'target_text')):
        seen = torch.cat([getattr(batch, name) for batch in reversed(batches)])
        assert torch.equal(memory, seen[:20]) and not memory.requires_grad


def test_a_batch_larger_than_the_memory() -> None:
    loss, batch = build(), domain_batch(3, 25)
    loss(batch)
    assert torch.equal(loss.images, batch.target_image[:20]) and int(loss.filled) == 20
    assert torch.isfinite(loss(domain_batch(3, 25))['loss_pairing'])


@pytest.mark.parametrize('kind', LOSSES)
def test_a_resumed_loss_goes_on_with_the_memory(kind: type[BasePairingLoss]) -> None:
    loss, again = build(kind), build(kind)
    assert {'images', 'texts', 'filled'} <= set(loss.state_dict())
    assert not list(loss.parameters())
    for _ in range(2):
        loss(domain_batch(3, 6))
    again.load_state_dict(loss.state_dict())
    batch = domain_batch(3, 6)
    first, second = loss(batch), again(batch)
    assert first['loss_pairing'] > 0
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize('kind', LOSSES)
def test_no_loss_before_there_are_enough_items(kind: type[BasePairingLoss]) -> None:
    """But a graph: distributed training waits for the gradient of every weight."""
    loss = build(kind, min_items=12)
    for _ in range(2):
        batch = domain_batch(3, 6)
        terms = loss(batch)
        assert set(terms) == {'loss_pairing'} and terms['loss_pairing'].item() == 0
        terms['loss_pairing'].backward()
        assert (batch.target_image.grad == 0).all() and (batch.target_text.grad == 0).all()
    terms = loss(domain_batch(3, 6))
    assert terms['loss_pairing'] > 0 and 0 < terms['pairing_confidence'] <= 1


@pytest.mark.parametrize(('min_items', 'warned'), [(24, False), (28, True)])
def test_a_long_wait_is_logged_once(
    min_items: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A small target could train to the end without ever being adapted to."""
    logger = MMLogger.get_instance(f'wait{min_items}', logger_name='wait')
    logger.addHandler(caplog.handler)
    loss = build(memory_size=40, min_items=min_items)
    for _ in range(3):
        loss(domain_batch(3, 6))  # six target items a step
    words = [record.getMessage() for record in caplog.records]
    assert len(words) == warned
    assert all('0 for the first 5 steps' in text and 'min_items=28' in text for text in words)


def test_without_a_minimum_the_first_batch_counts() -> None:
    assert build(min_items=0)(domain_batch(3, 6))['loss_pairing'] > 0


@pytest.mark.parametrize('kind', LOSSES)
def test_the_loss_against_loops(kind: type[BasePairingLoss]) -> None:
    loss = build(kind, scale=5.0, loss_weight=2.0)
    first, second = domain_batch(3, 9), domain_batch(3, 6)
    loss(first)
    got = loss(second)
    images = torch.cat([second.target_image, first.target_image]).detach()
    texts = torch.cat([second.target_text, first.target_text]).detach()
    pairs, scores = guess(loss, images, texts), 5.0 * images @ texts.T
    assert pairs.shape == (15, 15) and (pairs >= 0).all()
    expected = naive_cross_entropy(scores[:6], pairs[:6]) + naive_cross_entropy(
        scores[:, :6].T, pairs[:, :6].T
    )
    assert got['loss_pairing'].item() == pytest.approx(expected, rel=1e-4)  # 2 * the mean of both
    shares = [max(row) / sum(row) if sum(row) else 0.0 for row in pairs[:6].tolist()]
    assert got['pairing_confidence'].item() == pytest.approx(sum(shares) / 6, rel=1e-4)


@pytest.mark.parametrize('kind', LOSSES)
def test_the_gradient_passes_through_the_batch_and_not_through_the_guess(
    kind: type[BasePairingLoss], monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = build(kind)
    first, second = domain_batch(3, 9), domain_batch(3, 6)
    loss(first)
    loss(second)['loss_pairing'].backward()
    assert first.target_image.grad is None and first.target_text.grad is None
    assert second.target_image.grad.abs().sum() > 0 and second.target_text.grad.abs().sum() > 0
    # The same guess as a constant gives the same gradient.
    images = torch.cat([second.target_image, first.target_image]).detach()
    texts = torch.cat([second.target_text, first.target_text]).detach()
    constant = guess(loss, images, texts)
    other = build(kind)
    other(first)
    monkeypatch.setattr(other, 'pairing', lambda *_: constant)
    fresh = second._replace(
        target_image=second.target_image.detach().requires_grad_(),
        target_text=second.target_text.detach().requires_grad_(),
    )
    other(fresh)['loss_pairing'].backward()
    torch.testing.assert_close(fresh.target_image.grad, second.target_image.grad)
    torch.testing.assert_close(fresh.target_text.grad, second.target_text.grad)


@pytest.mark.parametrize('kind', LOSSES)
def test_embeddings_that_match_are_paired(kind: type[BasePairingLoss]) -> None:
    images = normalize(torch.randn(30, 64))
    order = torch.randperm(30)
    texts = normalize(images[order] + 0.05 * torch.randn(30, 64))
    pairs = guess(build(kind), images, texts)
    assert torch.equal(order[pairs.argmax(1)], torch.arange(30))
    assert torch.equal(pairs.argmax(0), order)


@pytest.mark.parametrize('kind', LOSSES)
def test_steps_along_the_gradient_lower_the_loss(kind: type[BasePairingLoss]) -> None:
    meaning = normalize(torch.randn(16, DIM))
    images = (meaning + 0.12 * torch.randn(16, DIM)).requires_grad_()
    texts = (meaning + 0.12 * torch.randn(16, DIM))[torch.randperm(16)].requires_grad_()
    loss = build(kind, min_items=0, scale=10.0)
    values = []
    for _ in range(30):
        loss.filled.zero_()
        value = loss(domain_batch(3, target_image=normalize(images), target_text=normalize(texts)))[
            'loss_pairing'
        ]
        values.append(value.item())
        for leaf, grad in zip((images, texts), torch.autograd.grad(value, (images, texts))):
            leaf.data -= grad
    assert values[-1] < 0.7 * values[0]


def test_the_plan_is_sinkhorns_with_the_options_given() -> None:
    scores = torch.rand(5, 5)
    assert torch.equal(
        guess(build(eps=0.3, iterations=4), scores, torch.eye(5)),
        transport.sinkhorn(scores, 0.3, 4),
    )


@pytest.mark.parametrize('neighbors', [0, 2])
def test_pseudo_pairs_are_the_most_confident_mutual_ones(neighbors: int) -> None:
    scores = torch.rand(9, 7)
    compared = csls(scores, neighbors) if neighbors else scores
    result = mutual_nearest(compared)
    loss = build(PseudoPairLoss, neighbors=neighbors)
    for share in (0.01, 0.5, 1.0):
        loss.set_stage(CurriculumStage(stage=0, ratio=share, margin=0.5))
        kept = max(1, round(share * len(result.rows)))
        expected = sorted(zip(result.rows.tolist()[:kept], result.columns.tolist()[:kept]))
        pairs = guess(loss, scores, torch.eye(7))
        assert [tuple(position) for position in pairs.nonzero().tolist()] == expected
        assert pairs.sum() == kept


@pytest.mark.parametrize(
    'kind, kwargs, words',
    [
        (
            PseudoPairLoss,
            dict(min_items=21),
            r'min_items must lie in .* got 21 with memory_size=20',
        ),
        (PseudoPairLoss, dict(min_items=-1), 'got -1'),
        (PseudoPairLoss, dict(share=0.0), 'got 10 and 0.0'),
        (PseudoPairLoss, dict(neighbors=-1), 'got -1 and 1.0'),
        (OptimalTransportPairingLoss, dict(eps=0.0), 'must be positive, got 0.0 and 30'),
        (OptimalTransportPairingLoss, dict(iterations=0), 'got 0.05 and 0'),
    ],
)
def test_mistakes(kind: type[BasePairingLoss], kwargs: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build(kind, **kwargs)
