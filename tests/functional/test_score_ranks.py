"""Ranks from a matrix against ranks of the embeddings that made it, and a loop."""

import pytest
import torch

from urbancross_mm.functional.ranking import bidirectional_ranks
from urbancross_mm.functional.score_ranks import score_ranks


@pytest.mark.parametrize('chunk_size', [1, 3, 100])
def test_against_a_loop(chunk_size: int) -> None:
    scores = torch.randint(4, (8, 11), generator=torch.Generator().manual_seed(0)).float()
    query = torch.tensor([0, 0, 2, 3, 3, 3, 7])
    item = torch.tensor([1, 5, 0, 2, 3, 10, 4])
    ranks = score_ranks(scores, query, item, chunk_size)
    expected = []
    for row in (0, 2, 3, 7):
        right = set(item[query == row].tolist())
        best = max(scores[row, j].item() for j in right)
        values = scores[row].tolist()
        expected.append(
            (
                sum(v > best for j, v in enumerate(values) if j not in right),
                sum(v == best for j, v in enumerate(values) if j not in right),
                sum(v == best for j, v in enumerate(values) if j in right),
            )
        )
    assert torch.stack(ranks, dim=1).tolist() == [list(row) for row in expected]


def test_of_inner_products_it_is_the_exact_ranking() -> None:
    images, texts = torch.randint(-3, 4, (2, 12, 5)).float()
    pairs = torch.arange(12) // 2, torch.arange(12)
    exact = bidirectional_ranks(images, texts, *pairs, distractors=True)
    scores = images @ texts.t()  # whole numbers have no rounding
    for one, two in zip(
        exact, (score_ranks(scores, *pairs), score_ranks(scores.t(), *pairs[::-1]))
    ):
        assert torch.equal(torch.stack(one), torch.stack(two))


def test_nan_is_refused() -> None:
    scores = torch.zeros(3, 2)
    scores[2, 1] = torch.nan
    with pytest.raises(ValueError, match='queries 2 to 2 hold NaN'):
        score_ranks(scores, torch.arange(2), torch.arange(2), chunk_size=2)
