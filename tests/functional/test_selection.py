"""Selection against loops written out, and weights that stay weights."""

import pytest
import torch
from torch import Tensor

from urbancross_mm.functional.selection import fuse, importance, select_similar
from urbancross_mm.functional.similarity import normalize

RATIOS = (0.2, 0.4, 0.6, 0.8, 1.0)


def embeds(source: int, target: int, dim: int = 8) -> tuple[Tensor, Tensor]:
    return normalize(torch.randn(source, dim)), normalize(torch.randn(target, dim))


def naive_weights(values: list[float], floor: float) -> list[float]:
    low, high = min(values), max(values)
    stretched = [(value - low) / (high - low) for value in values]
    return [floor / len(values) + (1 - floor) * item / sum(stretched) for item in stretched]


def naive(source: Tensor, target: Tensor, ratio: float, floor: float) -> tuple[list, list, list]:
    """The specification, one number at a time."""
    scores = [[float(t @ s) for s in source.double()] for t in target.double()]
    closeness = [sum(row[j] for row in scores) / len(target) for j in range(len(source))]
    count = max(1, round(ratio * len(source)))
    chosen = sorted(range(len(source)), key=lambda j: -closeness[j])[:count]
    w_source = naive_weights([closeness[j] for j in chosen], floor)
    w_target = naive_weights([sum(row[j] for j in chosen) for row in scores], floor)
    return chosen, w_source, w_target


@pytest.mark.parametrize('floor', [0.05, 0.5])
@pytest.mark.parametrize('ratio', RATIOS)
def test_against_a_loop(ratio: float, floor: float) -> None:
    source, target = embeds(20, 7)
    got = select_similar(source, target, ratio, floor=floor)
    chosen, w_source, w_target = naive(source, target, ratio, floor)
    assert got.indices.tolist() == chosen
    assert got.w_source.tolist() == pytest.approx(w_source, rel=1e-4)
    assert got.w_target.tolist() == pytest.approx(w_target, rel=1e-4)


@pytest.mark.parametrize('ratio, count', zip(RATIOS, (16, 32, 48, 64, 80)))
def test_published_batch_at_every_ratio(ratio: float, count: int) -> None:
    """The published code runs at the first ratio only: one weight vector for both domains."""
    source, target = embeds(80, 16)
    got = select_similar(source.requires_grad_(), target.requires_grad_(), ratio)
    assert len(got.indices) == len(got.w_source) == count and len(got.w_target) == 16
    assert len(set(got.indices.tolist())) == count
    for weights in got[1:]:
        assert torch.isfinite(weights).all() and (weights > 0).all()
        assert weights.sum().item() == pytest.approx(1, abs=1e-5)
        assert not weights.requires_grad


@pytest.mark.parametrize('source, target', [(80, 1), (1, 16), (1, 1), (3, 2)])
@pytest.mark.parametrize('ratio', [0.01, 0.2, 1.0])
def test_small_batches(source: int, target: int, ratio: float) -> None:
    got = select_similar(*embeds(source, target), ratio)
    assert len(got.indices) == max(1, round(ratio * source))
    for weights in got[1:]:
        assert torch.isfinite(weights).all() and (weights > 0).all()
        assert weights.sum().item() == pytest.approx(1, abs=1e-5)


def test_no_sample_is_lost_to_the_digits_of_a_ratio() -> None:
    assert int(0.29 * 100) == 28
    assert len(select_similar(*embeds(100, 4), 0.29).indices) == 29


def test_equal_rows_have_equal_weights_and_keep_their_order() -> None:
    """The published min-max is 0 / 0 here."""
    source, target = normalize(torch.ones(10, 4)), normalize(torch.ones(5, 4))
    got = select_similar(source, target, 0.4)
    assert got.indices.tolist() == [0, 1, 2, 3]
    assert got.w_source.tolist() == pytest.approx([0.25] * 4)
    assert got.w_target.tolist() == pytest.approx([0.2] * 5)


def test_a_copy_of_the_target_comes_first_and_its_opposite_last() -> None:
    target = normalize(torch.randn(1, 8)).expand(4, 8)
    source = torch.cat([-target[:1], normalize(torch.randn(6, 8)), target[:1]])
    got = select_similar(source, target, 1.0)
    assert got.indices[0] == 7 and got.indices[-1] == 0
    assert got.w_source.argmax() == 0 and got.w_source.argmin() == 7


@pytest.mark.parametrize('size', [20, 22])
def test_windows_are_disjoint_pieces_of_the_ranking(size: int) -> None:
    source, target = embeds(size, 4)
    ranking = select_similar(source, target, 1.0).indices.tolist()
    pieces = [
        select_similar(source, target, 0.2, 'window', stage).indices.tolist() for stage in range(7)
    ]
    assert pieces[:5] == [ranking[i : i + 4] for i in range(0, 20, 4)]
    assert pieces[5] == pieces[6] == ranking[-4:]
    assert select_similar(source, target, 0.2, stage=3).indices.tolist() == ranking[:4]


def test_floor() -> None:
    values = torch.tensor([3.0, 1.0, 2.0])
    assert importance(values, 0.0).tolist() == pytest.approx([2 / 3, 0, 1 / 3])
    assert importance(values, 0.3).tolist() == pytest.approx([0.1 + 1.4 / 3, 0.1, 0.1 + 0.7 / 3])
    assert importance(values, 1.0).tolist() == pytest.approx([1 / 3] * 3)
    assert importance(values + 1e3, 0.3).tolist() == pytest.approx(
        importance(values, 0.3).tolist(), abs=1e-4
    )


@pytest.mark.parametrize('gap, equal', [(1e-8, True), (1e-3, False)])
def test_similarities_without_order_weigh_the_same(gap: float, equal: bool) -> None:
    weights = importance(torch.tensor([0.0, gap, 2 * gap], dtype=torch.float64))
    assert (weights.unique().numel() == 1) == equal


def test_fused_vectors_lie_half_way() -> None:
    images, texts = embeds(5, 5)
    fused = fuse(images, texts)
    torch.testing.assert_close(fused.norm(dim=1), torch.ones(5))
    torch.testing.assert_close((fused * images).sum(1), (fused * texts).sum(1))


@pytest.mark.parametrize(
    'kwargs, words',
    [
        (dict(ratio=0.0), r'ratio must lie in \(0, 1\], got 0.0'),
        (dict(ratio=1.2), 'got 1.2'),
        (dict(ratio=0.5, mode='random'), "mode must be one of .* got 'random'"),
    ],
)
def test_mistakes(kwargs: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        select_similar(*embeds(4, 2), **kwargs)


@pytest.mark.parametrize('source, target', [(0, 2), (4, 0)])
def test_a_missing_domain(source: int, target: int) -> None:
    with pytest.raises(ValueError, match=f'got {source} of the source and {target} of the target'):
        select_similar(*embeds(source, target), 0.5)


@pytest.mark.parametrize('spread', [1.0, 1e-2, 1e-3])
def test_a_nearly_collapsed_model_is_selected_by_its_last_digits(spread: float) -> None:
    center = normalize(torch.ones(1, 32))
    source, target = (
        normalize(center + spread * normalize(torch.randn(rows, 32))) for rows in (40, 9)
    )
    got = select_similar(source, target, 0.4)
    chosen, w_source, w_target = naive(source, target, 0.4, 0.05)
    assert got.indices.tolist() == chosen
    assert got.w_source.tolist() == pytest.approx(w_source, rel=1e-3)
    assert got.w_target.tolist() == pytest.approx(w_target, rel=1e-3)
