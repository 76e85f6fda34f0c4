"""The adversarial loss: any numbers of rows, weights for both domains, no infinite logarithm."""

import math

import pytest
import torch
from torch import Tensor

from tests.models.helpers import EMBED_DIM, domain_batch, total
from urbancross_mm.models import WeightedDomainAdversarialLoss
from urbancross_mm.models.adaptation.losses import weighted_domain_adversarial_loss
from urbancross_mm.structures import DomainBatch

MODALITIES = ('image', 'text')


def build(**kwargs: object) -> WeightedDomainAdversarialLoss:
    loss = WeightedDomainAdversarialLoss(**kwargs)
    loss.set_embed_dim(EMBED_DIM)
    return loss


def naive(
    loss: WeightedDomainAdversarialLoss, batch: DomainBatch, modality: str, weighted: bool
) -> float:
    """The formula, one row at a time, in double precision."""
    result = 0.0
    for domain, label in (('source', 1), ('target', 0)):
        rows = getattr(batch, f'{domain}_{modality}')
        weights = [1 / len(rows)] * len(rows)
        if weighted:
            weights = getattr(batch, f'w_{domain}').tolist()
        for logit, weight in zip(loss.head(rows, modality).tolist(), weights):
            chance = 1 / (1 + math.exp(-logit))
            result -= weight * math.log(chance if label else 1 - chance)
    return result


@pytest.mark.parametrize('weighted', [True, False])
@pytest.mark.parametrize('modalities', [MODALITIES, ('text',), ('image',)])
def test_against_a_loop(weighted: bool, modalities: tuple[str, ...]) -> None:
    loss, batch = build(weighted=weighted, modalities=modalities, loss_weight=0.5), domain_batch()
    terms = loss(batch)
    assert set(terms) == {'domain_acc', *(f'loss_domain_{name}' for name in modalities)}
    for name in modalities:
        expected = 0.5 * naive(loss, batch, name, weighted)
        assert terms[f'loss_domain_{name}'].item() == pytest.approx(expected, rel=1e-5)
    assert all(p.grad is None for p in loss.parameters())
    total(terms).backward()
    assert all(p.grad is not None for p in loss.parameters())  # or distributed training stops


@pytest.mark.parametrize('count', [16, 32, 48, 64, 80])
def test_every_ratio_of_the_published_batch(count: int) -> None:
    """The published loss multiplies both domains by one vector, and stops at 32 and 16 rows."""
    batch, loss = domain_batch(count, 16), build()
    terms = loss(batch)
    assert all(torch.isfinite(value) for value in terms.values())
    total(terms).backward()
    for rows in batch[:4]:
        assert torch.isfinite(rows.grad).all() and rows.grad.abs().sum() > 0


def test_the_size_of_a_domain_does_not_change_its_share() -> None:
    """Weights have sum 1 and are not averaged once more, as the published ones are."""
    small, loss = domain_batch(2, 3), build()
    large = DomainBatch(
        *(rows.repeat(4, 1) for rows in small[:5]),
        *(weights.repeat(4) / 4 for weights in small[5:7]),
    )
    for name, value in loss(small).items():
        torch.testing.assert_close(loss(large)[name], value)


def step(loss: WeightedDomainAdversarialLoss, batch: DomainBatch, lr: float) -> Tensor:
    """The loss after the embeddings alone went one step down their gradient."""
    total(loss(batch)).backward()
    moved = [rows.detach() - lr * rows.grad for rows in batch[:4]]
    return total(loss(DomainBatch(*moved, *batch[4:])))


@pytest.mark.parametrize('coefficient, confuses', [(1.0, True), (-1.0, False)])
def test_encoders_confuse_the_discriminator_unless_published(
    coefficient: float, confuses: bool
) -> None:
    loss, batch = (
        build(head=dict(type='DomainAdversarialHead', coefficient=coefficient)),
        domain_batch(),
    )
    before = total(loss(batch)).item()
    assert (step(loss, batch, 0.5).item() > before) == confuses


@pytest.mark.parametrize('autocast', [False, True])
def test_extreme_logits_are_finite(autocast: bool) -> None:
    """A sigmoid and a logarithm are not: in half precision from a logit of 8 on."""
    loss = build(head=dict(type='DomainAdversarialHead', coefficient=1.0))
    with torch.no_grad():
        for network in loss.head.discriminators.values():
            network[-1].weight.mul_(1e5)
            network[-1].bias.add_(3e4)
    batch = domain_batch(80, 16)
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=autocast):
        terms = loss(batch)
    assert total(terms) > 1e3 and torch.isfinite(total(terms))
    total(terms).backward()
    grads = [rows.grad for rows in batch[:4]] + [p.grad for p in loss.parameters()]
    assert all(torch.isfinite(grad).all() for grad in grads)


def test_full_precision_under_autocast() -> None:
    loss, batch = build(), domain_batch()
    expected = loss(batch)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        under = loss(batch)
    for name, value in expected.items():
        assert under[name].dtype == torch.float32 and torch.equal(under[name], value)


class FirstNumber(torch.nn.Module):
    """A discriminator that reads its logit from the embedding."""

    def forward(self, embeds: Tensor, modality: str) -> Tensor:
        return embeds[:, 0]


def test_accuracy_is_the_mean_over_domains_and_modalities(monkeypatch: pytest.MonkeyPatch) -> None:
    def logits(*values: float) -> Tensor:
        return torch.tensor(values, dtype=torch.float32)[:, None]

    monkeypatch.setattr(weighted_domain_adversarial_loss, 'build_part', lambda *_: FirstNumber())
    batch = domain_batch(
        4,
        2,
        source_image=logits(1, 1, 1, -1),
        source_text=logits(-1, -1, -1, -1),
        target_image=logits(-1, -1),
        target_text=logits(-1, 1),
    )
    loss = WeightedDomainAdversarialLoss(loss_weight=0.1)
    assert loss(batch)['domain_acc'].item() == pytest.approx((75 + 0 + 100 + 50) / 4)


@pytest.mark.parametrize('modalities', [(), ('image', 'audio')])
def test_unknown_modality(modalities: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match='modalities'):
        WeightedDomainAdversarialLoss(modalities=modalities)
