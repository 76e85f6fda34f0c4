"""Exact search against a full sort: ties, filters, chunks, storage types."""

import pytest
import torch

from urbancross_mm.functional.similarity import normalize
from urbancross_mm.inference.index import BaseIndex, TorchIndex, torch_index
from urbancross_mm.registry import INDEXES


def build(embeds: torch.Tensor, **settings) -> BaseIndex:
    index = INDEXES.build(dict(type='TorchIndex', **settings))
    index.add(embeds)
    return index


def naive(embeds: torch.Tensor, query: torch.Tensor, topk: int, where: list[bool]) -> list[int]:
    scores = [(-float((row * query).sum()), i) for i, row in enumerate(embeds) if where[i]]
    return [i for _, i in sorted(scores)[:topk]]


@pytest.mark.parametrize('chunk_size', [1, 4, 13, 1000])
@pytest.mark.parametrize('topk', [1, 5, 60])
def test_matches_full_sort_with_ties_at_any_chunk_size(
    chunk_size: int, topk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_index, 'CHUNK_SIZE', chunk_size)
    embeds = normalize(torch.randn(9, 24))[torch.randint(9, (40,))]  # every row several times
    queries = normalize(torch.randn(6, 24))
    where = torch.rand(40) < 0.6
    index = build(embeds)
    for mask in (None, where, where.tolist()):
        result = index.search(queries, topk, mask)
        kept = [True] * 40 if mask is None else where.tolist()
        assert result.indices.tolist() == [naive(embeds, q, topk, kept) for q in queries]
        assert result.scores.shape == (6, min(topk, sum(kept)))
        expected = (queries[:, None] * embeds[result.indices]).sum(-1)
        torch.testing.assert_close(result.scores, expected)


def test_constant_gallery_comes_back_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_index, 'CHUNK_SIZE', 77)
    index = build(normalize(torch.randn(1, 384)).expand(500, -1))
    result = index.search(normalize(torch.randn(3, 384)), topk=20)
    assert result.indices.tolist() == [list(range(20))] * 3


@pytest.mark.parametrize('spread', [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize('longest', [1.0, 1e4])
def test_nearly_equal_rows_come_in_their_true_order(
    spread: float, longest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_index, 'CHUNK_SIZE', 77)
    embeds = normalize(torch.ones(300, 64) + spread * torch.randn(300, 64))
    embeds[-1] *= -longest  # a long row that is never found loosens nothing
    queries = normalize(torch.ones(4, 64) + spread * torch.randn(4, 64))
    true = (queries.double() @ embeds.double().t()).argsort(dim=1, descending=True, stable=True)
    result = build(embeds).search(queries, topk=10)
    assert torch.equal(result.indices, true[:, :10])


def test_one_query_and_several_adds() -> None:
    embeds = normalize(torch.randn(10, 8))
    index = build(embeds[:4])
    index.add(embeds[4:])
    assert len(index) == 10
    whole = build(embeds).search(embeds[7], topk=3)
    parts = index.search(embeds[7], topk=3)
    assert parts.indices.shape == (1, 3) and parts.indices[0, 0] == 7
    assert torch.equal(whole.scores, parts.scores)


def test_half_storage_keeps_float_scores() -> None:
    embeds, query = normalize(torch.randn(50, 64)), normalize(torch.randn(2, 64))
    half, full = build(embeds, dtype='float16').search(query), build(embeds).search(query)
    assert half.scores.dtype == torch.float32
    torch.testing.assert_close(half.scores, full.scores, rtol=0, atol=1e-3)


def test_nothing_allowed_gives_nothing() -> None:
    result = build(torch.eye(3)).search(torch.eye(3)[0], where=[False] * 3)
    assert result.indices.shape == (1, 0)


def test_the_added_tensor_may_change_afterwards() -> None:
    embeds = torch.eye(3)
    index = build(embeds)
    embeds.zero_()
    assert index.search(torch.eye(3)[1], topk=1).scores.item() == 1.0


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda index: index.add(torch.eye(4)), 'embeds have width 4, the index has width 3'),
        (lambda index: index.add(torch.full((1, 3), float('nan'))), 'embeds must be finite'),
        (lambda index: index.add(torch.ones(3)), r'shape \(N, D\)'),
        (lambda index: index.search(torch.eye(4)), 'queries have width 4'),
        (lambda index: index.search(torch.full((3,), float('inf'))), 'queries must be finite'),
        (lambda index: index.search(torch.ones(0, 3)), 'queries must be finite'),
        (lambda index: index.search(torch.eye(3), topk=0), 'topk .* 0'),
        (lambda index: index.search(torch.eye(3), topk=1.5), 'topk .* 1.5'),
        (lambda index: index.search(torch.eye(3), where=[True]), 'where must be 3 bools'),
        (lambda index: index.search(torch.eye(3), where=torch.ones(3)), 'where must be 3 bools'),
        (lambda index: TorchIndex().search(torch.eye(3)), 'the index is empty'),
        (lambda index: TorchIndex(dtype='int8'), "got 'int8'"),
    ],
)
def test_bad_arguments(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(build(torch.eye(3)))
