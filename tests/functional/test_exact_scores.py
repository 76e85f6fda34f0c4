"""Ranks near collapse, at any length and among equal rows, against exactly summed scores."""

import math

import pytest
import torch
from torch import Tensor

from urbancross_mm.functional import exact_scores, ranking, side_counts
from urbancross_mm.functional.similarity import normalize


def exactly(query: list[float], item: list[float], other: list[float]) -> float:
    """<q, item> - <q, other> without any rounding: products of float32 are exact in a double."""
    return math.fsum(
        [*(a * b for a, b in zip(query, item)), *(-a * b for a, b in zip(query, other))]
    )


def naive_counts(queries: Tensor, items: Tensor, right: Tensor) -> list[tuple[int, int, int]]:
    """Above, tied negatives and tied positives of the best positive of every query."""
    counts = []
    for query, good in zip(queries.tolist(), right.tolist()):
        rows = items.tolist()
        best = next(row for row, is_right in zip(rows, good) if is_right)
        for row, is_right in zip(rows, good):
            if is_right and exactly(query, row, best) > 0:
                best = row
        gaps = [exactly(query, row, best) for row in rows]
        counts.append(
            (
                sum(gap > 0 and not g for gap, g in zip(gaps, good)),
                sum(gap == 0 and not g for gap, g in zip(gaps, good)),
                sum(gap == 0 and g for gap, g in zip(gaps, good)),
            )
        )
    return counts


def as_tuples(ranks: ranking.PositiveRanks) -> list[tuple[int, int, int]]:
    return list(zip(*(count.tolist() for count in ranks)))


def near(width: int, spread: float, images: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    """Images and five captions of each around one direction, some captions shared."""
    center = normalize(torch.randn(1, width))
    image = torch.randn(images, width) / width**0.5
    caption = image.repeat_interleave(5, 0) + 2 * torch.randn(5 * images, width) / width**0.5
    caption[3::4] = caption[1]
    return (
        normalize(center + spread * image),
        normalize(center + spread * caption),
        torch.arange(5 * images) // 5,
    )


def check_both_ways(
    images: Tensor, captions: Tensor, owner: Tensor, chunk_size: int = 1024
) -> None:
    right = torch.arange(len(images))[:, None] == owner
    both = ranking.bidirectional_ranks(
        images, captions, owner, torch.arange(len(owner)), chunk_size
    )
    assert as_tuples(both[0]) == naive_counts(images.float(), captions.float(), right)
    assert as_tuples(both[1]) == naive_counts(captions.float(), images.float(), right.t())


@pytest.mark.parametrize('spread', [10.0, 0.03, 1e-3, 1e-4, 1e-6])
@pytest.mark.parametrize('width', [2, 7, 64, 513])
def test_ranks_are_those_of_exact_scores(width: int, spread: float) -> None:
    check_both_ways(*near(width, spread))


@pytest.mark.parametrize('chunk_size', [1, 4, 11])
@pytest.mark.parametrize('few', [1, 64, 10**9])
def test_no_tile_and_no_shortcut_changes_a_rank(
    chunk_size: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_counts, 'FEW', few)
    monkeypatch.setattr(exact_scores, 'CHUNK_SIZE', 5)
    for spread in (10.0, 1e-3):
        check_both_ways(*near(32, spread), chunk_size)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_other_types(dtype: torch.dtype) -> None:
    for spread in (10.0, 1e-2):
        images, captions, owner = near(24, spread)
        check_both_ways(images.to(dtype), captions.to(dtype), owner)


@pytest.mark.parametrize(
    'lengths', [(1e4, 1.0), (1e-4, 1.0), (1e-30, 1.0), (1e4, 1e-4), (0.0, 1.0)]
)
def test_one_vector_of_another_length_moves_no_other_rank(lengths: tuple[float, float]) -> None:
    images, captions, owner = near(48, 1e-3)
    captions, images = captions * lengths[1], images.clone()
    captions[7] *= lengths[0]
    images[4] *= lengths[0]
    check_both_ways(images, captions, owner)


def test_a_nearly_collapsed_model_that_ranks_right_gets_everything() -> None:
    """Mean cosine 0.999998; a tolerance of 1e-6 gave 0.4."""
    pairs = torch.randn(500, 64)
    images = normalize(normalize(torch.ones(1, 64)) + 1e-3 * normalize(pairs)).double()
    # The captions are the pairs themselves, without the common direction.
    apart = images - images.mean(0)
    scores = images @ apart.t()
    right = scores.diagonal()
    expected = 100 * float((scores >= right[:, None]).sum(1).eq(1).double().mean())
    texts = normalize(images.mean(0) + apart).float()
    ids = torch.arange(500)
    assert float((texts @ texts.t()).mean()) > 0.999998
    got = ranking.recall_at_k(ranking.positive_ranks(images.float(), texts, ids, ids), 1)
    assert got > 99 and abs(got - expected) < 1


def test_collapse_ties_at_any_width_and_tile() -> None:
    for width, chunk_size in ((384, 37), (1000, 1024)):
        row = normalize(torch.randn(1, width))
        both = ranking.bidirectional_ranks(
            row.expand(50, -1),
            row.expand(250, -1),
            torch.arange(250) // 5,
            torch.arange(250),
            chunk_size,
        )
        assert set(as_tuples(both[0])) == {(0, 245, 5)} and set(as_tuples(both[1])) == {(0, 49, 1)}


def test_vectors_of_length_zero_tie_with_everything() -> None:
    images, captions = torch.zeros(6, 8), normalize(torch.randn(30, 8))
    owner = torch.arange(30) // 5
    both = ranking.bidirectional_ranks(images, captions, owner, torch.arange(30), 4)
    assert set(as_tuples(both[0])) == {(0, 25, 5)} and set(as_tuples(both[1])) == {(0, 5, 1)}


def test_distractors_are_searched_and_are_no_queries() -> None:
    images, captions, owner = near(16, 10.0)
    more, other = normalize(torch.randn(4, 16)), normalize(torch.randn(6, 16))
    pairs = (owner, torch.arange(len(owner)))
    gallery, texts = torch.cat([images, more]), torch.cat([captions, other])
    both = ranking.bidirectional_ranks(gallery, texts, *pairs, distractors=True)
    right = torch.arange(13)[:, None] == torch.cat([owner, owner.new_full((6,), -1)])
    assert as_tuples(both[0]) == naive_counts(images, texts, right[:9])
    assert as_tuples(both[1]) == naive_counts(captions, gallery, right.t()[:45])
    with pytest.raises(ValueError, match=r'4 of 13 .*\[9, 10, 11, 12\]'):
        ranking.bidirectional_ranks(gallery, texts, *pairs)
