"""The triplet loss against a loop over pairs, for every kind of negative."""

import math

import pytest
import torch
from torch import Tensor

from tests.models.helpers import domain_batch
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.models import CrossDomainTripletLoss
from urbancross_mm.structures import CurriculumStage, DomainBatch


def distance(first: Tensor, second: Tensor) -> float:
    return math.dist(first.tolist(), second.tolist())


def hardest(anchor: Tensor, others: Tensor, wrong: list[bool] | None = None) -> float:
    """Distance to the nearest negative, infinity if there is none."""
    distances = [distance(anchor, other) for k, other in enumerate(others) if not wrong or wrong[k]]
    return min(distances, default=math.inf)


def naive(batch: DomainBatch, negative: str, margin: float, weighted: bool) -> float:
    result = 0.0
    for j, (image, text) in enumerate(zip(batch.source_image, batch.source_text)):
        own = distance(image, text)
        if negative == 'target_image':
            negatives = [hardest(image, batch.target_image)]
        elif negative == 'target':
            negatives = [hardest(image, batch.target_text), hardest(text, batch.target_image)]
        else:
            wrong = ~batch.source_positives
            negatives = [
                hardest(image, batch.source_text, wrong[j].tolist()),
                hardest(text, batch.source_image, wrong[:, j].tolist()),
            ]
        weight = batch.w_source[j].item() if weighted else 1 / len(batch.source_image)
        result += weight * sum(max(0.0, own - other + margin) for other in negatives)
    return result


@pytest.mark.parametrize('negative', ['target', 'source', 'target_image'])
@pytest.mark.parametrize('weighted', [True, False])
@pytest.mark.parametrize('margin', [0.0, 0.5, 1.3])
def test_against_a_loop(negative: str, weighted: bool, margin: float) -> None:
    positives = (torch.eye(6) + torch.rand(6, 6)) > 0.6  # not symmetric, as captions are not
    batch = domain_batch(6, 4, source_positives=positives)
    loss = CrossDomainTripletLoss(negative, margin, weighted, loss_weight=0.5)
    terms = loss(batch)
    assert set(terms) == {'loss_triplet'}
    expected = 0.5 * naive(batch, negative, margin, weighted)
    assert terms['loss_triplet'].item() == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert expected > 0


def test_the_curriculum_sets_the_margin() -> None:
    loss, batch = CrossDomainTripletLoss(), domain_batch()
    assert loss.margin == 0.5
    loss.set_stage(CurriculumStage(stage=3, ratio=0.8, margin=1.1))
    assert loss(batch)['loss_triplet'].item() == pytest.approx(
        naive(batch, 'target', 1.1, True), rel=1e-4
    )


def test_a_caption_that_fits_is_no_negative() -> None:
    """Images 0 and 1 have the same caption; as a negative it would cost the margin."""
    images = normalize(torch.eye(3))
    batch = domain_batch(3, 2, dim=3, source_image=images, source_text=images[[0, 0, 2]])
    right = torch.eye(3, dtype=torch.bool)
    right[0, 1] = right[1, 0] = True
    loss = CrossDomainTripletLoss('source', margin=0.3, weighted=False)
    assert loss(batch._replace(source_positives=right))['loss_triplet'].item() == pytest.approx(
        naive(batch._replace(source_positives=right), 'source', 0.3, False), abs=2e-3
    )
    as_negatives = loss(batch)['loss_triplet'].item()
    assert as_negatives > loss(batch._replace(source_positives=right))['loss_triplet'].item() + 0.1


@pytest.mark.parametrize('margin', [0.0, 1.0, 5.0])
def test_a_triplet_without_a_negative_costs_nothing(margin: float) -> None:
    positives = torch.eye(3, dtype=torch.bool)
    positives[0] = True  # image 0 has no negative; the other terms have one
    batch = domain_batch(3, 2, source_positives=positives)
    loss = CrossDomainTripletLoss('source', margin)(batch)['loss_triplet']
    assert loss.item() == pytest.approx(naive(batch, 'source', margin, True), rel=1e-5, abs=1e-6)
    alone = domain_batch(3, 2, source_positives=torch.ones(3, 3, dtype=torch.bool))
    nothing = CrossDomainTripletLoss('source', margin)(alone)['loss_triplet']
    nothing.backward()
    assert nothing.item() == 0
    assert not alone.source_image.grad.any() and not alone.source_text.grad.any()


def test_a_caption_of_the_image_is_no_negative_in_the_target_either() -> None:
    batch = domain_batch(4, 3)
    batch = batch._replace(target_text=torch.cat([batch.source_text[:2], batch.target_text[2:]]))
    right = torch.zeros(4, 3, dtype=torch.bool)
    right[0, 0] = right[1, 1] = True
    masked = batch._replace(target_text_positives=right)
    loss = CrossDomainTripletLoss('target', margin=0.5, weighted=False)
    others = [
        [distance(image, text) for text, hidden in zip(batch.target_text, row) if not hidden]
        for image, row in zip(batch.source_image, right)
    ]
    expected = (
        sum(
            max(0.0, distance(image, text) - min(distances) + 0.5)
            + max(0.0, distance(image, text) - hardest(text, batch.target_image) + 0.5)
            for image, text, distances in zip(batch.source_image, batch.source_text, others)
        )
        / 4
    )
    assert loss(masked)['loss_triplet'].item() == pytest.approx(expected, rel=1e-5)
    assert loss(batch)['loss_triplet'] > loss(masked)['loss_triplet']


@pytest.mark.parametrize('spread', [1.0, 1e-2, 1e-3, 3e-4])
def test_close_vectors_keep_their_digits(spread: float) -> None:
    """The cosine of a distance of 1e-3 has no digit left in fp32, and no gradient."""
    center = normalize(torch.randn(1, 64))
    rows = [normalize(center + spread * normalize(torch.randn(5, 64))) for _ in range(4)]
    for negative in ('target', 'source', 'target_image'):
        results = []
        for dtype in (torch.float32, torch.float64):
            leaves = [row.to(dtype, copy=True).requires_grad_() for row in rows]
            batch = DomainBatch(
                *leaves,
                torch.eye(5, dtype=torch.bool),
                torch.full((5,), 0.2),
                torch.full((5,), 0.2),
            )
            CrossDomainTripletLoss(negative, margin=2.0)(batch)['loss_triplet'].backward()
            results.append(
                torch.cat([leaf.grad.double() for leaf in leaves if leaf.grad is not None])
            )
        assert (results[0] - results[1]).norm() < 1e-4 * results[1].norm()


@pytest.mark.parametrize('negative', ['target', 'source', 'target_image'])
def test_the_gradient_is_finite_where_vectors_coincide(negative: str) -> None:
    """The square root in a distance has none at 0."""
    same = normalize(torch.randn(3, 16))
    leaves = [same.clone().requires_grad_() for _ in range(4)]
    batch = domain_batch(
        3,
        3,
        source_image=leaves[0],
        source_text=leaves[1],
        target_image=leaves[2],
        target_text=leaves[3],
    )
    CrossDomainTripletLoss(negative)(batch)['loss_triplet'].backward()
    assert all(leaf.grad is None or torch.isfinite(leaf.grad).all() for leaf in leaves)


def test_a_step_pulls_pairs_together_and_pushes_the_target_away() -> None:
    batch = domain_batch()
    loss = CrossDomainTripletLoss(margin=2.0)  # every pair counts
    loss(batch)['loss_triplet'].backward()
    image, text, target_image, target_text = (rows - 0.01 * rows.grad for rows in batch[:4])
    assert ((image * text).sum(1) > (batch.source_image * batch.source_text).sum(1)).all()
    moved = batch._replace(
        source_image=image, source_text=text, target_image=target_image, target_text=target_text
    )
    assert loss(moved)['loss_triplet'] < loss(batch)['loss_triplet']


def test_fp32_under_autocast() -> None:
    loss, batch = CrossDomainTripletLoss(), domain_batch(dim=64)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        under = loss(batch)['loss_triplet']
    assert torch.equal(under, loss(batch)['loss_triplet']) and under.dtype == torch.float32


def test_unknown_negative() -> None:
    with pytest.raises(ValueError, match="one of .* got 'random'"):
        CrossDomainTripletLoss('random')
