"""Factors of a plan against matrices; the plan's own test covers how they are put together."""

import pytest
import torch
from torch import Tensor

from urbancross_mm.functional.groups import Pair, Reference
from urbancross_mm.functional.pairing_factors import (
    Target,
    directions,
    draw_reference,
    smoothed_embeds,
    standardized,
)


def target_of(images: int, texts: int) -> Target:
    return Target(
        *(torch.randn(rows, 6, dtype=torch.float64) for rows in (images, texts, images, texts)),
        text_mass=torch.arange(1, texts + 1).double(),
    )


def masses(size: int) -> Tensor:
    mass = torch.rand(size, dtype=torch.float64) + 0.1
    return mass / mass.sum()


def test_a_reference_is_all_or_a_part_that_repeats() -> None:
    target = target_of(9, 12)
    whole, part = draw_reference(target, 100, 0), draw_reference(target, 5, 0)
    assert whole.images.tolist() == list(range(9)) and whole.texts.tolist() == list(range(12))
    assert len(part.images) == len(part.texts) == 5
    assert part.texts.tolist() == sorted(set(part.texts.tolist()))
    torch.testing.assert_close(part.text_mass, (part.texts + 1) / (part.texts + 1).sum().double())
    torch.testing.assert_close(part.image_mass, torch.full((5,), 0.2).double())
    assert torch.equal(part.images, draw_reference(target, 5, 0).images)
    draws = {tuple(draw_reference(target, 5, seed).images.tolist()) for seed in range(9)}
    assert len(draws) > 3


def test_standardized_products() -> None:
    """Only the reference counts: here, all but the last image and the first text."""
    reference = Reference(torch.arange(6), torch.arange(1, 9), masses(6), masses(8))
    factors = Pair(torch.randn(7, 4).double() + 3, torch.randn(9, 4).double() - 1)
    found = standardized(factors, reference)
    scores = (found.images @ found.texts.t())[:6, 1:]
    rows, columns = reference.image_mass, reference.text_mass
    torch.testing.assert_close(scores @ columns, torch.zeros(6).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(rows @ scores, torch.zeros(8).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(float(rows @ scores.square() @ columns), 1.0)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_products_that_are_all_alike_are_none(dtype: torch.dtype) -> None:
    reference = Reference(torch.arange(7), torch.arange(9), masses(7), masses(9))
    same = torch.randn(1, 4).to(dtype).expand(7, 4)
    found = standardized(Pair(same, torch.randn(9, 4).to(dtype)), reference)
    assert found.images.abs().max() == 0 and found.texts.isfinite().all()


def test_directions_are_from_the_mean_of_the_reference() -> None:
    target, reference = target_of(8, 10), draw_reference(target_of(8, 10), 5, 0)
    units = directions(target, reference)
    mean = sum(
        mass * target.text_feats[row]
        for mass, row in zip(reference.text_mass, reference.texts, strict=True)
    )
    for unit, feat in zip(units.texts, target.text_feats, strict=True):
        torch.testing.assert_close(unit, (feat - mean) / (feat - mean).norm())


def test_an_item_at_the_mean_has_no_direction() -> None:
    target = target_of(3, 4)
    feats = torch.tensor([[1.0, 5.0], [3.0, 5.0], [2.0, 5.0]])
    units = directions(target._replace(image_feats=feats), draw_reference(target, 9, 0))
    torch.testing.assert_close(units.images, torch.tensor([[-1.0, 0], [1, 0], [0, 0]]))


@pytest.mark.parametrize('neighbors', [0, 1])
def test_one_neighbor_is_the_item_itself(neighbors: int) -> None:
    target = target_of(8, 10)
    reference = draw_reference(target, 9, 0)
    smooth = smoothed_embeds(target, directions(target, reference), reference, neighbors)
    assert torch.equal(smooth.images, target.image_embeds)


def test_embeddings_are_averaged_within_a_kind() -> None:
    """Two kinds that the features tell apart; new items are averaged over known ones."""
    kinds = torch.arange(20) % 2
    feats = torch.tensor([[1.0, 0], [-1, 0]])[kinds] + 0.01 * torch.randn(20, 2)
    embeds = torch.randn(20, 5)
    target = Target(embeds, embeds, feats, feats, torch.ones(20))
    everybody = torch.arange(20)
    known = Reference(everybody[:16], everybody[:16], torch.ones(16) / 16, torch.ones(16) / 16)
    smooth = smoothed_embeds(target, directions(target, known), known, 8)
    for kind in (0, 1):
        mean = embeds[:16][kinds[:16] == kind].mean(0).expand(10, 5)
        torch.testing.assert_close(smooth.texts[kinds == kind], mean, rtol=0, atol=0.01)
