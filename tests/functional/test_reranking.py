"""Corrections of a score matrix against loops over its entries."""

import math

import pytest
import torch
from torch import Tensor

from urbancross_mm.functional.reranking import inverted_softmax, multivariate_rerank

QUERIES, ITEMS, BEST = 9, 13, 4


def matrix(queries: int = QUERIES, items: int = ITEMS) -> Tensor:
    """Cosines with ties: two items are equal for all queries, and two queries are equal."""
    scores = torch.rand(queries, items, dtype=torch.float64)
    scores[:, 5] = scores[:, 2]
    scores[3] = scores[1]
    return scores


def naive_rerank(scores: Tensor, best: int, w1: float, w2: float) -> dict[tuple[int, int], float]:
    """The formula for each candidate pair."""
    table = scores.tolist()
    result = {}
    for i, row in enumerate(table):
        for j, value in enumerate(row):
            rank = sum(other > value for other in row)
            if rank >= best:
                continue
            column = [line[j] for line in table]
            reverse = sum(other > value for other in column)
            share = max(value, 0) / sum(max(other, 0) for other in column)
            result[i, j] = (
                w1 * share + math.exp(-0.05 * (rank + 1)) + w2 * math.exp(-0.05 * (reverse + 1))
            )
    return result


@pytest.mark.parametrize('chunk_size', [1, 4, 1000])
@pytest.mark.parametrize('shift', [0.0, 0.5], ids=['positive', 'of-both-signs'])
def test_rerank_against_a_loop(chunk_size: int, shift: float) -> None:
    scores = matrix() - shift
    got = multivariate_rerank(scores, BEST, 0.3, 1.1, chunk_size=chunk_size)
    expected = naive_rerank(scores, BEST, 0.3, 1.1)
    for (i, j), value in expected.items():
        assert got[i, j].item() == pytest.approx(value)
    assert set(map(tuple, (got > 0).nonzero().tolist())) == set(expected)


def test_items_that_are_no_candidates_keep_their_order_below() -> None:
    scores = matrix()
    got = multivariate_rerank(scores, BEST)
    for before, after in zip(scores, got):
        others = after <= 0
        assert others.sum() >= ITEMS - BEST - 1 and after[~others].min() > after[others].max()
        assert torch.equal(before[others].argsort(stable=True), after[others].argsort(stable=True))


def test_equal_items_stay_tied() -> None:
    for got in (multivariate_rerank(matrix(), BEST), inverted_softmax(matrix())):
        assert torch.equal(got[:, 5], got[:, 2])


def test_published_settings_and_small_galleries() -> None:
    scores = matrix()
    expected = naive_rerank(scores, 30, 0.3, 1.1)  # every item is a candidate
    got = multivariate_rerank(scores)
    assert len(expected) == scores.numel()
    for (i, j), value in expected.items():
        assert got[i, j].item() == pytest.approx(value)


def test_rerank_prefers_the_item_that_prefers_the_query() -> None:
    """Item 0 is close to all queries, closest to query 0; item 1 is close to query 1 alone."""
    scores = torch.tensor([[0.9, 0.1], [0.8, 0.79], [0.85, 0.1]])
    assert scores[1].argmax() == 0
    assert multivariate_rerank(scores)[1].argmax() == 1


@pytest.mark.parametrize('chunk_size', [1, 4, 1000])
@pytest.mark.parametrize('with_bank', [True, False])
@pytest.mark.parametrize('dynamic', [True, False])
def test_inverted_softmax_against_a_loop(chunk_size: int, with_bank: bool, dynamic: bool) -> None:
    scores, scale = matrix(), 7.0
    bank = matrix(6) if with_bank else None
    got = inverted_softmax(scores, bank, scale, dynamic, chunk_size)
    by_query = (scores if bank is None else bank).tolist()
    hubs = {j for row in by_query for j, value in enumerate(row) if value == max(row)}
    for i, row in enumerate(scores.tolist()):
        best = {j for j, value in enumerate(row) if value == max(row)}
        for j, value in enumerate(row):
            if dynamic and not best & hubs:
                assert got[i, j].item() == value
                continue
            mean = sum(math.exp(scale * line[j]) for line in by_query) / len(by_query)
            assert math.exp(scale * got[i, j].item()) == pytest.approx(
                math.exp(scale * value) / mean
            )


def test_dynamic_leaves_queries_alone_that_meet_no_hub() -> None:
    scores = torch.tensor([[0.9, 0.8, 0.1], [0.1, 0.2, 0.9]])
    bank = torch.tensor([[0.9, 0.1, 0.1], [0.8, 0.2, 0.3]])  # item 0 is best for both
    got = inverted_softmax(scores, bank, dynamic=True)
    assert torch.equal(got[1], scores[1]) and not torch.equal(got[0], scores[0])
    assert got[0].argmax() == 1


def test_a_hub_loses_its_queries() -> None:
    made = torch.Generator().manual_seed(0)
    scores = torch.eye(20) * 0.5 + 0.1 * torch.rand(20, 20, generator=made)
    scores[:, 7] += 0.6
    assert (scores.argmax(1) == torch.arange(20)).sum() == 1
    assert (inverted_softmax(scores).argmax(1) == torch.arange(20)).all()


def test_large_scales_do_not_overflow() -> None:
    assert inverted_softmax(matrix().float() * 100, scale=1e4).isfinite().all()


@pytest.mark.parametrize('function', [multivariate_rerank, inverted_softmax])
def test_input_stays_and_precision_is_full(function: object) -> None:
    scores = matrix().bfloat16().requires_grad_()
    before = scores.detach().clone()
    got = function(scores)
    assert got.dtype == torch.float32 and not got.requires_grad
    assert torch.equal(scores, before)
    torch.testing.assert_close(got, function(before.float()))


@pytest.mark.parametrize('function', [multivariate_rerank, inverted_softmax])
@pytest.mark.parametrize('shape', [(0, 4), (4, 0), (1, 1)])
def test_nothing_to_rank(function: object, shape: tuple[int, int]) -> None:
    got = function(torch.ones(shape))
    assert got.shape == shape and got.isfinite().all()


def test_options_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match=r'got 0, 0.3 and 1.1'):
        multivariate_rerank(matrix(), 0)
    with pytest.raises(ValueError, match=r'got 30, -1 and 1.1'):
        multivariate_rerank(matrix(), share_weight=-1)
    with pytest.raises(ValueError, match='scale must be positive, got 0'):
        inverted_softmax(matrix(), scale=0)
    for bank in (torch.rand(3, 4), torch.rand(0, ITEMS)):
        with pytest.raises(ValueError, match=rf'{bank.shape[0]}, {bank.shape[1]}.*\(9, 13\)'):
            inverted_softmax(matrix(), bank)
