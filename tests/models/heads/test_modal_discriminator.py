"""Telling modalities apart, without touching them."""

import pytest
import torch

from urbancross_mm.functional import modal
from urbancross_mm.models import ModalDiscriminator

DIM = 6


def test_it_learns_to_tell_modalities_apart_and_says_chance_where_it_cannot() -> None:
    torch.manual_seed(0)
    head = ModalDiscriminator(DIM, ('image', 'text'), dropout=0.0)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    image, text = torch.randn(64, DIM) + 1, torch.randn(64, DIM) - 1
    for _ in range(60):
        loss = head.loss(image, 'image') + head.loss(text, 'text')
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (head(image).argmax(1) == 0).float().mean() > 0.95
    assert (head(text).argmax(1) == 1).float().mean() > 0.95
    same = torch.zeros(1, DIM)
    blind = (head.loss(same, 'image') + head.loss(same, 'text')) / 2
    assert blind >= torch.tensor(2.0).log() - 1e-6


def test_its_own_loss_reaches_no_encoder_but_the_confusion_does() -> None:
    head, feats = ModalDiscriminator(DIM), torch.randn(4, DIM, requires_grad=True)
    head.loss(feats, 'audio').backward()
    assert feats.grad is None
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())
    modal.confusion(head(feats), head.label('audio'), torch.Generator()).backward()
    assert feats.grad.abs().sum() > 0


def test_classes_are_those_of_the_config() -> None:
    names = ('image', 'text', 'audio', 'map')
    head = ModalDiscriminator(DIM, names)
    assert head(torch.randn(3, DIM)).shape == (3, 4)
    assert [head.label(name) for name in names] == [0, 1, 2, 3]


def test_its_loss_does_not_grow_with_the_batch() -> None:
    head, feats = ModalDiscriminator(DIM).eval(), torch.randn(5, DIM)
    torch.testing.assert_close(head.loss(feats.repeat(7, 1), 'text'), head.loss(feats, 'text'))


def test_names_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"\('image', 'text', 'audio'\), got 'video'"):
        ModalDiscriminator(DIM).label('video')
    for names in (('image',), ('image', 'image')):
        with pytest.raises(ValueError, match='image'):
            ModalDiscriminator(DIM, names)
