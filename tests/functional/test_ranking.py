"""Ranks and recall against naive loops: random tie orders, exact enumeration, tiles, collapse."""

from itertools import permutations
from math import comb

import pytest
import torch

from urbancross_mm.functional import ranking
from urbancross_mm.functional.ranking import PositiveRanks
from urbancross_mm.functional.similarity import normalize


def naive_counts(scores: torch.Tensor, right: torch.Tensor) -> list[tuple[int, int, int]]:
    """Above, tied negatives and tied positives of every row, one comparison at a time."""
    counts = []
    for row, good in zip(scores.tolist(), right.tolist()):
        best = max(score for score, is_right in zip(row, good) if is_right)
        tied = [abs(score - best) <= 1e-6 for score in row]
        counts.append(
            (
                sum(s > best and not t and not g for s, t, g in zip(row, tied, good)),
                sum(t and not g for t, g in zip(tied, good)),
                sum(t and g for t, g in zip(tied, good)),
            )
        )
    return counts


def as_tuples(ranks: PositiveRanks) -> list[tuple[int, int, int]]:
    return list(zip(*(count.tolist() for count in ranks)))


def five_captions(num_images: int, width: int = 16, distinct: int = 12):
    """Images with five captions each, drawn from few distinct texts, so that ties abound."""
    images = normalize(torch.randn(num_images, width))
    texts = normalize(torch.randn(distinct, width))
    text_of_caption = torch.randint(distinct, (5 * num_images,))
    return images, texts[text_of_caption], torch.arange(5 * num_images) // 5


@pytest.mark.parametrize('chunk_size', [1, 3, 7, 64])
def test_counts_match_naive_loop_at_any_chunk_size(chunk_size: int) -> None:
    images, captions, owner = five_captions(17)
    scores, right = images @ captions.t(), torch.arange(17)[:, None] == owner
    i2t = ranking.positive_ranks(images, captions, torch.arange(17), owner, chunk_size)
    t2i = ranking.positive_ranks(captions, images, owner, torch.arange(17), chunk_size)
    assert as_tuples(i2t) == naive_counts(scores, right)
    assert as_tuples(t2i) == naive_counts(scores.t(), right.t())
    both = ranking.bidirectional_ranks(images, captions, owner, torch.arange(85), chunk_size)
    assert [as_tuples(side) for side in both] == [as_tuples(i2t), as_tuples(t2i)]
    assert i2t.tied_negatives.sum() > 0
    assert all(count.dtype == torch.long for count in i2t)


def test_five_captions_match_the_mean_over_random_tie_orders() -> None:
    images, captions, owner = five_captions(12)
    scores = (images @ captions.t()).round(decimals=5)
    ranks = ranking.positive_ranks(images, captions, torch.arange(12), owner)
    generator = torch.Generator().manual_seed(1)
    rounds, hits, first = 1500, dict.fromkeys((1, 5, 10), 0.0), 0.0
    for _ in range(rounds):
        shuffled = torch.randperm(60, generator=generator)
        order = shuffled[scores[:, shuffled].argsort(dim=1, descending=True, stable=True)]
        position = (owner[order] == torch.arange(12)[:, None]).int().argmax(dim=1) + 1
        first += position.double().mean().item()
        for k in hits:
            hits[k] += (position <= k).double().mean().item()
    for k, hit in hits.items():
        assert ranking.recall_at_k(ranks, k) == pytest.approx(100 * hit / rounds, abs=1.5)
    assert float(ranking.rank_values(ranks).mean()) == pytest.approx(first / rounds, rel=0.02)


@pytest.mark.parametrize('above', [0, 1, 2])
@pytest.mark.parametrize('wrong', [0, 1, 3])
@pytest.mark.parametrize('right', [1, 2])
def test_expectation_equals_enumeration_of_all_orders(above: int, wrong: int, right: int) -> None:
    ranks = PositiveRanks(*(torch.tensor([count]) for count in (above, wrong, right)))
    orders = list(permutations([False] * wrong + [True] * right))
    positions = [above + 1 + order.index(True) for order in orders]
    assert float(ranking.rank_values(ranks)) == pytest.approx(sum(positions) / len(positions))
    for k in range(1, above + wrong + right + 2):
        share = sum(position <= k for position in positions) / len(positions)
        assert ranking.recall_at_k(ranks, k) == pytest.approx(100 * share, abs=1e-9)


def test_expectation_is_stable_for_many_ties() -> None:
    ranks = PositiveRanks(*(torch.tensor([count]) for count in (3, 2_000_000, 5)))
    expected = 100 * (1 - comb(2_000_000, 97) / comb(2_000_005, 97))
    assert ranking.recall_at_k(ranks, 100) == pytest.approx(expected, rel=1e-9)


def test_tie_modes_bracket_the_expectation() -> None:
    ranks = PositiveRanks(*(torch.tensor([count]) for count in (2, 4, 1)))
    assert [ranking.recall_at_k(ranks, k, 'pessimistic') for k in (6, 7)] == [0.0, 100.0]
    assert [ranking.recall_at_k(ranks, k, 'optimistic') for k in (2, 3)] == [0.0, 100.0]
    values = [float(ranking.rank_values(ranks, ties)) for ties in ranking.TIES]
    assert values == [5.0, 7.0, 3.0]  # expected, pessimistic, optimistic


def test_collapse_is_exactly_chance_and_identity_is_perfect() -> None:
    ids = torch.arange(20)
    constant = normalize(torch.ones(20, 8))
    collapsed = ranking.positive_ranks(constant, constant, ids, ids)
    for k in (1, 5, 10, 20, 50):
        assert ranking.recall_at_k(collapsed, k) == pytest.approx(min(k, 20) * 5, abs=1e-9)
    perfect = ranking.positive_ranks(torch.eye(20), torch.eye(20), ids, ids)
    assert ranking.recall_at_k(perfect, 1) == 100.0
    assert ranking.rank_values(perfect).tolist() == [1.0] * 20
    five = constant.repeat_interleave(5, 0)
    collapsed = ranking.positive_ranks(constant, five, ids, ids.repeat_interleave(5))
    chance = 100 * (1 - comb(95, 10) / comb(100, 10))
    assert ranking.recall_at_k(collapsed, 10) == pytest.approx(chance, abs=1e-9)


def test_equal_embeddings_tie_although_kernels_round_apart() -> None:
    query = normalize(torch.randn(50, 384))
    gallery = normalize(torch.randn(1, 384)).expand(333, -1)
    ranks = ranking.positive_ranks(query, gallery, torch.arange(50), torch.arange(333), 37)
    assert ranks.above.tolist() == [0] * 50
    assert ranks.tied_negatives.tolist() == [332] * 50


def test_the_length_of_the_embeddings_does_not_matter() -> None:
    images, captions, owner = five_captions(9)
    ids = torch.arange(9)
    plain = ranking.positive_ranks(images, captions, ids, owner)
    for factor in (1e-4, 1e4):
        scaled = ranking.positive_ranks(factor * images, factor * captions, ids, owner)
        assert as_tuples(scaled) == as_tuples(plain)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_and_gradients(dtype: torch.dtype) -> None:
    images, captions, owner = five_captions(8)
    images, captions = images.to(dtype).requires_grad_(), captions.to(dtype)
    ranks = ranking.positive_ranks(images, captions, torch.arange(8), owner)
    scores = images.detach().double() @ captions.double().t()
    assert as_tuples(ranks) == naive_counts(scores, torch.arange(8)[:, None] == owner)


def test_autocast_does_not_blur_ties() -> None:
    images, captions, owner = five_captions(30, width=64, distinct=140)
    plain = ranking.positive_ranks(images, captions, torch.arange(30), owner)
    with torch.autocast('cpu', torch.bfloat16):
        cast = ranking.positive_ranks(images, captions, torch.arange(30), owner)
    assert as_tuples(cast) == as_tuples(plain)


def test_any_relevance_and_repeated_pairs() -> None:
    query, gallery = normalize(torch.randn(6, 8)), normalize(torch.randn(11, 8))
    right = torch.rand(6, 11) < 0.3
    right[torch.arange(6), torch.arange(6)] = True
    pair_query, pair_gallery = right.nonzero().t()
    shuffled = torch.randperm(len(pair_query)).repeat(2)
    ranks, _ = ranking.bidirectional_ranks(
        query, gallery, pair_query[shuffled], pair_gallery[shuffled], 4, distractors=True
    )
    assert as_tuples(ranks) == naive_counts(query @ gallery.t(), right)


def test_ids_may_be_any_integers() -> None:
    ids = torch.tensor([2**62, -7, 0])
    pairs = ranking.pairs_of_equal_ids(ids, torch.tensor([0, 2**62, 5, 0, -7]))
    assert list(zip(*(side.tolist() for side in pairs))) == [(0, 1), (1, 4), (2, 0), (2, 3)]


def test_missing_positives_are_named() -> None:
    embeds = torch.eye(4)
    with pytest.raises(ValueError, match=r'2 of 4 queries .* \[12, 13\]'):
        ranking.positive_ranks(
            embeds, embeds, torch.tensor([10, 11, 12, 13]), torch.tensor([10, 11, 10, 11])
        )
    with pytest.raises(ValueError, match='1 of 4 text'):
        ranking.bidirectional_ranks(
            embeds, embeds, torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 2, 2])
        )


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_embeddings_that_are_not_finite_are_refused(value: float) -> None:
    embeds, ids = torch.eye(4), torch.arange(4)
    broken = embeds.clone()
    broken[2, 1] = value
    for query, gallery in ((broken, embeds), (embeds, broken)):
        with pytest.raises(ValueError, match=r'NaN .*\[2\]'):
            ranking.positive_ranks(query, gallery, ids, ids)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(query_ids=torch.arange(3)), 'query_ids must be 4 integers'),
        (dict(gallery_ids=torch.arange(4.0)), 'gallery_ids must be 4 integers'),
        (dict(gallery_embeds=torch.eye(4)[:, :3]), 'different widths, 4 and 3'),
        (dict(query_embeds=torch.ones(4)), r'must be \(rows, width\)'),
        (dict(chunk_size=0), 'chunk_size must be at least 1, got 0'),
    ],
)
def test_bad_arguments(change: dict, message: str) -> None:
    arguments = dict(
        query_embeds=torch.eye(4),
        gallery_embeds=torch.eye(4),
        query_ids=torch.arange(4),
        gallery_ids=torch.arange(4),
    )
    with pytest.raises(ValueError, match=message):
        ranking.positive_ranks(**{**arguments, **change})


def test_bad_recall_arguments() -> None:
    ranks = PositiveRanks(*torch.ones(3, 2, dtype=torch.long))
    with pytest.raises(ValueError, match='k .* 0'):
        ranking.recall_at_k(ranks, 0)
    with pytest.raises(ValueError, match="got 'random'"):
        ranking.recall_at_k(ranks, 1, ties='random')
    with pytest.raises(ValueError, match='no queries'):
        ranking.recall_at_k(PositiveRanks(*torch.ones(3, 0, dtype=torch.long)), 1)
    with pytest.raises(ValueError, match='0 to 9'):
        ranking.bidirectional_ranks(
            torch.eye(2), torch.eye(2), torch.tensor([0, 9]), torch.tensor([0, 1])
        )
