"""The class adds weight, precision and errors to the function."""

import pytest
import torch

from urbancross_mm.functional.similarity import normalize
from urbancross_mm.models import PairwiseRankingLoss


@pytest.mark.parametrize(
    'kwargs, expected',
    [
        (dict(), 624.0),
        (dict(negatives='hardest'), 16.0),
        (dict(reduction='mean'), 0.2),
        (dict(loss_weight=0.5), 312.0),
    ],
)
def test_equal_embeddings_cost_the_margin_each(kwargs: dict, expected: float) -> None:
    ones = normalize(torch.ones(40, 8))
    assert PairwiseRankingLoss(margin=0.2, **kwargs)(ones, ones).item() == pytest.approx(expected)


def test_zero_scores_cost_624() -> None:
    images, texts = torch.eye(80)[:40], torch.eye(80)[40:]
    assert PairwiseRankingLoss()(images, texts).item() == pytest.approx(624)


def test_positives_against_a_double_loop() -> None:
    images, texts = normalize(torch.randn(6, 5)), normalize(torch.randn(6, 5))
    positives = torch.eye(6, dtype=torch.bool)
    positives[0, 3] = positives[4, 1] = True
    scores, expected = images @ texts.T, 0.0
    for i in range(6):
        for j in range(6):
            if not positives[i, j]:
                expected += max(0.0, 0.2 + float(scores[i, j] - scores[i, i]))
                expected += max(0.0, 0.2 + float(scores[i, j] - scores[j, j]))
    loss = PairwiseRankingLoss()(images, texts, positives)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_fp32_under_autocast() -> None:
    images, texts = normalize(torch.randn(6, 64)), normalize(torch.randn(6, 64))
    loss = PairwiseRankingLoss()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(loss(images, texts), loss(images.clone(), texts))
        under = loss(images, texts)
    assert torch.equal(under, loss(images, texts)) and under.dtype == torch.float32


@pytest.mark.parametrize('kwargs', [dict(negatives='some'), dict(reduction='none')])
def test_unknown_option(kwargs: dict) -> None:
    with pytest.raises(ValueError, match=str(next(iter(kwargs.values())))):
        PairwiseRankingLoss(**kwargs)


def test_needs_pairs() -> None:
    with pytest.raises(ValueError, match='2 images and 3 texts'):
        PairwiseRankingLoss()(torch.ones(2, 4), torch.ones(3, 4))
