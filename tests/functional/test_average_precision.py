"""MRR and mAP against scikit-learn, enumeration of tie orders, and the definition."""

from itertools import permutations

import pytest
import torch
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score
from torch import Tensor

from urbancross_mm.functional import ranking
from urbancross_mm.functional.average_precision import average_precisions, reciprocal_ranks
from urbancross_mm.functional.ranking import PositiveRanks
from urbancross_mm.functional.similarity import normalize


def precision(order: list[bool]) -> float:
    hits, total = 0, 0.0
    for position, relevant in enumerate(order, 1):
        hits += relevant
        total += relevant * hits / position
    return total / hits


def enumerated(scores: list[float], relevant: list[bool], ties: str) -> float:
    """Mean, worst or best average precision over all orders of the tied."""
    orders = [
        order
        for order in permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in zip(order, order[1:]))
    ]
    values = [precision([relevant[position] for position in order]) for order in orders]
    return {
        'expected': sum(values) / len(values),
        'pessimistic': min(values),
        'optimistic': max(values),
    }[ties]


def world(images: int = 14, texts: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    relevant = torch.rand(images, texts) < 0.15
    relevant[torch.arange(texts) % images, torch.arange(texts)] = True
    return normalize(torch.randn(images, 8)), normalize(torch.randn(texts, 8)), relevant


@pytest.mark.parametrize('chunk_size', [3, 1024])
def test_without_ties_as_scikit_learn(chunk_size: int) -> None:
    images, texts, relevant = world()
    both = average_precisions(images, texts, *relevant.nonzero().t(), chunk_size)
    scores = images.double() @ texts.double().t()
    for values, matrix, mask in ((both[0], scores, relevant), (both[1], scores.t(), relevant.t())):
        assert values.tolist() == pytest.approx(
            [average_precision_score(mask[row], matrix[row]) for row in range(len(mask))]
        )
        assert float(values.mean()) == pytest.approx(
            label_ranking_average_precision_score(mask.numpy(), matrix.numpy())
        )


def test_reciprocal_ranks_without_ties_as_scikit_learn() -> None:
    images, texts, _ = world()
    ids = torch.arange(14)
    ranks = ranking.positive_ranks(images, texts, ids, torch.arange(40) % 40)
    scores = (images.double() @ texts.double().t()).numpy()
    assert float(reciprocal_ranks(ranks).mean()) == pytest.approx(
        label_ranking_average_precision_score(torch.eye(14, 40).numpy(), scores)
    )


@pytest.mark.parametrize('ties', ranking.TIES)
def test_ties_as_all_their_orders(ties: str) -> None:
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        scores = torch.randint(3, (4, 6), generator=generator)
        relevant = torch.rand(4, 6, generator=generator) < 0.4
        relevant[torch.arange(4), torch.arange(4)] = True
        relevant[0, 4:] = True
        # Scores are the embeddings of the texts, seen by unit vectors.
        both = average_precisions(
            torch.eye(4), scores.t().float(), *relevant.nonzero().t(), ties=ties
        )
        assert both[0].tolist() == pytest.approx(
            [enumerated(row, good, ties) for row, good in zip(scores.tolist(), relevant.tolist())]
        )
        assert both[1].tolist() == pytest.approx(
            [
                enumerated(row, good, ties)
                for row, good in zip(scores.t().tolist(), relevant.t().tolist())
            ]
        )


@pytest.mark.parametrize('above', [0, 2])
@pytest.mark.parametrize('wrong', [0, 1, 3])
@pytest.mark.parametrize('relevant', [1, 2, 3])
def test_expected_reciprocal_rank_equals_enumeration(above: int, wrong: int, relevant: int) -> None:
    ranks = PositiveRanks(*(torch.tensor([count, 7 * count]) for count in (above, wrong, relevant)))
    orders = list(permutations([False] * wrong + [True] * relevant))
    mean = sum(1 / (above + 1 + order.index(True)) for order in orders) / len(orders)
    assert float(reciprocal_ranks(ranks)[0]) == pytest.approx(mean)
    for ties, rank in (('optimistic', above + 1), ('pessimistic', above + wrong + 1)):
        assert float(reciprocal_ranks(ranks, ties)[0]) == pytest.approx(1 / rank)


def test_collapse_is_chance_and_identity_is_perfect() -> None:
    row = normalize(torch.randn(1, 24))
    ids = torch.arange(30)
    chance = float((1 / torch.arange(1, 31, dtype=torch.float64)).mean())
    for values in average_precisions(row.expand(30, -1), row.expand(30, -1), ids, ids, 7):
        assert values.tolist() == pytest.approx([chance] * 30)
    for values in average_precisions(torch.eye(9), torch.eye(9), ids[:9], ids[:9]):
        assert values.tolist() == pytest.approx([1.0] * 9)


def test_images_and_texts_without_a_pair_are_searched_only() -> None:
    images, texts, relevant = world()
    relevant[3], relevant[:, 5] = False, False
    both = average_precisions(images, texts, *relevant.nonzero().t())
    scores = images.double() @ texts.double().t()
    for values, matrix, mask in ((both[0], scores, relevant), (both[1], scores.t(), relevant.t())):
        rows = mask.any(1).nonzero().flatten().tolist()
        assert values.tolist() == pytest.approx(
            [average_precision_score(mask[row], matrix[row]) for row in rows]
        )
