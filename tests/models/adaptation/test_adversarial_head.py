"""The discriminator learns as ever; what is below it learns the opposite."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from urbancross_mm.models import DomainAdversarialHead


def gradients(
    head: DomainAdversarialHead, embeds: Tensor, modality: str, reverse: bool
) -> tuple[Tensor, list[Tensor]]:
    """Gradients of a loss in the embeddings and in the discriminator."""
    network = head.discriminators[modality]
    embeds = embeds.clone().requires_grad_()
    logits = head(embeds, modality) if reverse else network(embeds).squeeze(1)
    loss = binary_cross_entropy_with_logits(logits, torch.ones(len(embeds)))
    of_embeds, *of_network = torch.autograd.grad(loss, [embeds, *network.parameters()])
    return of_embeds, of_network


@pytest.mark.parametrize('coefficient', [0.0, 0.3, 1.0, -0.5])
@pytest.mark.parametrize('modality', ['image', 'text'])
def test_the_embeddings_get_the_gradient_times_minus_c(coefficient: float, modality: str) -> None:
    """A negative coefficient gives the published sign: both minimise the same loss."""
    head = DomainAdversarialHead(8, coefficient=coefficient)
    embeds = torch.randn(5, 8)
    plain, network = gradients(head, embeds, modality, reverse=False)
    turned, same = gradients(head, embeds, modality, reverse=True)
    assert plain.abs().sum() > 0
    torch.testing.assert_close(turned, -coefficient * plain)
    assert all(torch.equal(a, b) for a, b in zip(network, same, strict=True))


def test_one_logit_a_row() -> None:
    head = DomainAdversarialHead(8)
    assert head(torch.randn(5, 8), 'image').shape == (5,)
    assert head(torch.randn(1, 8), 'text').shape == (1,)


def test_a_network_for_each_modality() -> None:
    head = DomainAdversarialHead(8, hidden_dim=3)
    embeds = torch.randn(5, 8)
    assert not torch.equal(head(embeds, 'image'), head(embeds, 'text'))
    one = 8 * 3 + 3 + 3 * 3 + 3 + 3 + 1
    assert sum(p.numel() for p in head.parameters()) == 2 * one


def test_the_width_may_come_later_and_hidden_layers_are_as_wide() -> None:
    head = DomainAdversarialHead()
    assert not list(head.parameters())
    head.set_embed_dim(6, ['text'])
    assert [tuple(layer.weight.shape) for layer in head.discriminators['text'][::2]] == [
        (6, 6),
        (6, 6),
        (1, 6),
    ]
    assert list(head.discriminators) == ['text']


def test_the_coefficient_is_saved_and_moves_with_the_model() -> None:
    head, other = DomainAdversarialHead(4), DomainAdversarialHead(4)
    assert head.coefficient == 1
    head.set_coefficient(0.25)
    assert head.state_dict()['coefficient'] == 0.25
    assert 'coefficient' not in dict(head.named_parameters())
    other.load_state_dict(head.state_dict())
    assert other.coefficient == 0.25 and other.half().coefficient.dtype == torch.float16


def test_a_new_coefficient_counts_from_the_next_forward_on() -> None:
    head = DomainAdversarialHead(8, coefficient=0.5)
    embeds = torch.randn(5, 8, requires_grad=True)
    loss = head(embeds, 'image').sum()
    head.set_coefficient(9.0)
    loss.backward()
    first, embeds.grad = embeds.grad, None
    head(embeds, 'image').sum().backward()
    torch.testing.assert_close(embeds.grad, 18 * first)
