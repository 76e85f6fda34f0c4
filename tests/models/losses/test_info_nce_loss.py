"""The scale is learned, clamped, and never stuck."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from urbancross_mm.functional.similarity import normalize
from urbancross_mm.models import InfoNCELoss


def pairs(size: int = 5, dim: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    return normalize(torch.randn(size, dim)), normalize(torch.randn(size, dim))


def test_is_clip_loss_on_the_diagonal() -> None:
    images, texts = pairs()
    logits = images @ texts.T / 0.07
    target = torch.arange(5)
    expected = (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2
    assert InfoNCELoss()(images, texts).item() == pytest.approx(expected.item(), rel=1e-5)


def test_scale_is_clamped_at_use_and_the_parameter_left_alone() -> None:
    loss = InfoNCELoss(init_scale=100, max_scale=100)
    with torch.no_grad():
        loss.logit_scale.add_(1.0)
    before = loss.logit_scale.clone()
    assert loss.scale.item() == pytest.approx(100, rel=1e-5)
    loss(*pairs()).backward()
    assert torch.equal(loss.logit_scale, before)


@pytest.mark.parametrize('right', [True, False])
def test_a_scale_beyond_its_bound_moves_back_only(right: bool) -> None:
    """Well-ranked pairs want a larger scale, others a smaller one."""
    images = torch.eye(4)
    texts = images if right else images.roll(1, 0)
    loss = InfoNCELoss(init_scale=2, max_scale=2)
    with torch.no_grad():
        loss.logit_scale.add_(0.1)
    loss(images, texts).backward()
    grad = loss.logit_scale.grad.item()
    assert grad == 0 if right else grad > 0


def test_gradient_within_the_bound_is_the_plain_one() -> None:
    images, texts = pairs()
    loss = InfoNCELoss()
    loss(images, texts).backward()
    scale = torch.tensor(math.log(1 / 0.07), requires_grad=True)
    logits, target = scale.exp() * images @ texts.T, torch.arange(5)
    ((cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2).backward()
    assert loss.logit_scale.grad.item() == pytest.approx(scale.grad.item(), rel=1e-4)


def test_fixed_scale_and_diagnostics() -> None:
    loss = InfoNCELoss(init_scale=20, learnable=False)
    assert not loss.logit_scale.requires_grad
    assert loss.diagnostics()['logit_scale'].item() == pytest.approx(20, rel=1e-5)
    assert not any('loss' in key for key in loss.diagnostics())


@pytest.mark.parametrize('scale', [0, 101])
def test_bad_scale(scale: float) -> None:
    with pytest.raises(ValueError, match=str(scale)):
        InfoNCELoss(init_scale=scale)
