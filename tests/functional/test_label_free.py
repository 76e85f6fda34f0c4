"""Label-free scores: naive loops, known answers, collapsed models, and no pairing."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm, pearsonr, skew
from torch import Tensor

from urbancross_mm.functional import label_free
from urbancross_mm.functional.similarity import normalize

SCORES = [label_free.structure_agreement, label_free.retrieval_entropy, label_free.hubness]


def unit(embeds: Tensor) -> np.ndarray:
    array = embeds.double().numpy()
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def naive_agreement(images: Tensor, texts: Tensor) -> float:
    image_rows, text_rows = unit(images), unit(texts)
    assigned = [text_rows[(text_rows @ row).argmax()] for row in image_rows]
    pairs = [(i, j) for i in range(len(images)) for j in range(i)]
    return pearsonr(
        [image_rows[i] @ image_rows[j] for i, j in pairs],
        [assigned[i] @ assigned[j] for i, j in pairs],
    ).statistic


def naive_entropy(queries: Tensor, gallery: Tensor, scale: float) -> float:
    entropies = []
    for row in unit(queries):
        weights = np.exp(scale * (unit(gallery) @ row - 1))
        p = weights / weights.sum()
        entropies.append(-sum(x * math.log(x) for x in p if x > 0) / math.log(len(p)))
    return float(np.mean(entropies))


def naive_hubness(queries: Tensor, gallery: Tensor, k: int) -> float:
    counts = np.zeros(len(gallery))
    for row in unit(queries):
        counts[np.argsort(-(unit(gallery) @ row))[:k]] += 1
    return float(skew(counts))


def world(images: int = 31, texts: int = 47, width: int = 8) -> tuple[Tensor, Tensor]:
    return torch.randn(images, width), 3 * torch.randn(texts, width)


def test_agreement_matches_loop() -> None:
    images, texts = world()
    value = label_free.structure_agreement(images, texts)
    assert value == pytest.approx(naive_agreement(images, texts), abs=1e-5)


@pytest.mark.parametrize('scale', [1.0, 20.0, 100.0])
def test_entropy_matches_loop(scale: float) -> None:
    queries, gallery = world()
    value = label_free.retrieval_entropy(queries, gallery, scale)
    assert value == pytest.approx(naive_entropy(queries, gallery, scale), abs=1e-5)


@pytest.mark.parametrize('k', [1, 5, 10])
def test_hubness_matches_loop(k: int) -> None:
    queries, gallery = world()
    value = label_free.hubness(queries, gallery, k)
    assert value == pytest.approx(naive_hubness(queries, gallery, k), abs=1e-9)


@pytest.mark.parametrize('score', SCORES)
def test_the_order_of_texts_does_not_matter_so_no_pair_is_used(score) -> None:
    images, texts = world(images=40, texts=40)
    expected = score(images, texts)
    for _ in range(5):
        assert score(images, texts[torch.randperm(40)]) == pytest.approx(expected, abs=1e-6)
        assert score(images[torch.randperm(40)], texts) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize('score', SCORES)
def test_chunks_and_lengths_of_rows_do_not_matter(score, monkeypatch: pytest.MonkeyPatch) -> None:
    images, texts = world()
    expected = score(images, texts)
    monkeypatch.setattr(label_free, 'CHUNK_SIZE', 7)
    scaled = score(images * torch.rand(len(images), 1).add(0.1), texts / 5)
    assert scaled == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize('score', [*SCORES, label_free.proxy_a_distance])
def test_any_floating_type_and_autocast(score, dtype: torch.dtype) -> None:
    images, texts = (embeds.to(dtype) for embeds in world())
    expected = score(images.double(), texts.double())
    with torch.autocast('cpu', torch.bfloat16):
        assert score(images, texts) == pytest.approx(expected, abs=1e-4)


def test_agreement_sees_right_and_scrambled_assignments() -> None:
    images = torch.randn(60, 16)
    # A perfect model: the text of each image lies on it.
    assert label_free.structure_agreement(images, images[torch.randperm(60)]) > 0.999
    # Nearest texts whose own geometry has nothing to do with that of the images.
    images = torch.cat([normalize(images), torch.zeros(60, 60)], dim=1)
    tags = torch.cat([torch.zeros(60, 16), torch.eye(60)], dim=1)
    other = torch.cat([torch.randn(60, 16), torch.zeros(60, 60)], dim=1)
    scrambled = label_free.structure_agreement(images + 2 * tags, tags + 0.001 * other)
    assert abs(scrambled) < 0.5


def test_agreement_of_many_images_is_that_of_evenly_spaced_ones() -> None:
    images, texts = world(images=41)
    value = label_free.structure_agreement(images, texts, max_items=21)
    assert value == pytest.approx(label_free.structure_agreement(images[::2], texts), abs=1e-6)
    assert value == label_free.structure_agreement(images, texts, max_items=21)


def test_collapsed_models() -> None:
    images, texts = world()
    same = texts[:1].expand(47, -1)
    assert label_free.structure_agreement(images, same) == 0
    assert label_free.structure_agreement(images[:1].expand(31, -1), texts) == 0
    assert label_free.structure_agreement(images[:2], texts) == 0
    assert label_free.retrieval_entropy(images, same) == pytest.approx(1)
    assert label_free.hubness(images, same, k=3) == 0
    assert label_free.proxy_a_distance(same, same) == 0
    assert label_free.proxy_a_distance(images[:1].expand(31, -1), same) == 2


@pytest.mark.parametrize('spread', [1e-2, 1e-3, 1e-4])
def test_a_nearly_collapsed_model_is_scored_by_its_last_digits(spread: float) -> None:
    """At a mean cosine of 0.9999999, float32 and a tolerance of 1e-6 see constants."""
    images, texts = world()
    center = torch.full((1, 8), 3.0)
    images, texts = (normalize(center + spread * rows) for rows in (images, texts))
    agreement = label_free.structure_agreement(images, texts)
    assert agreement == pytest.approx(naive_agreement(images, texts), abs=1e-6)
    for k in (1, 5):
        assert label_free.hubness(images, texts, k) == pytest.approx(
            naive_hubness(images, texts, k), abs=1e-9
        )
    assert abs(agreement) > 1e-3


@pytest.mark.parametrize('spread', [1.0, 1e-3, 1e-5])
def test_a_distance_does_not_depend_on_the_spread(spread: float) -> None:
    source, target = torch.randn(2000, 4), torch.randn(2000, 4)
    target[:, 0] += 2
    rows = [
        normalize(torch.cat([spread * rows, torch.full((2000, 1), 50.0)], dim=1).double())
        for rows in (source, target)
    ]
    best = 2 * (1 - 2 * norm.cdf(-1))
    assert label_free.proxy_a_distance(*rows) == pytest.approx(best, abs=0.1)


def test_a_gallery_of_one_and_k_beyond_the_gallery() -> None:
    images, texts = world()
    assert label_free.retrieval_entropy(images, texts[:1]) == 0
    assert label_free.hubness(images, texts, k=47) == label_free.hubness(images, texts, k=99) == 0


def test_entropy_ends() -> None:
    corners = torch.eye(6)
    assert label_free.retrieval_entropy(corners, corners, scale=1e4) == pytest.approx(0, abs=1e-9)
    assert label_free.retrieval_entropy(corners, corners, scale=1e-6) == pytest.approx(1)


def test_tied_items_share_their_places() -> None:
    # Two equal items tie for the one place of each query; the third is found by nobody.
    queries, gallery = torch.tensor([[1.0, 0.0]] * 4), torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    assert label_free.hubness(queries, gallery, k=1) == pytest.approx(skew([2, 2, 0]))
    assert label_free.hubness(queries, gallery, k=2) == pytest.approx(skew([4, 4, 0]))


def test_a_hub_raises_the_hubness() -> None:
    queries, gallery = torch.randn(200, 32) + 1, torch.randn(50, 32)
    before = label_free.hubness(queries, gallery)
    gallery[0] = 1
    assert label_free.hubness(queries, gallery) > max(before, 1)


def shifted(source_rows: int, target_rows: int, shift: float) -> tuple[Tensor, Tensor]:
    """Normal domains, one shifted, so far from the origin that unit length changes little."""
    source, target = torch.randn(source_rows, 4), torch.randn(target_rows, 4)
    target[:, 0] += shift
    return tuple(
        torch.cat([rows, torch.full((len(rows), 1), 50.0)], dim=1) for rows in (source, target)
    )


@pytest.mark.parametrize('shift', [0.0, 1.0, 3.0])
@pytest.mark.parametrize('sizes', [(4000, 4000), (1500, 6000)])
def test_a_distance_is_that_of_the_best_linear_classifier(shift: float, sizes: tuple) -> None:
    best = 2 * (1 - 2 * norm.cdf(-shift / 2))
    value = label_free.proxy_a_distance(*shifted(*sizes, shift))
    assert value == pytest.approx(best, abs=0.1)


def test_a_distance_is_held_out_and_deterministic() -> None:
    # 20 rows of 500 features are separable by chance: only a held-out error tells.
    source, target = torch.randn(20, 500), torch.randn(20, 500)
    value = label_free.proxy_a_distance(source, target)
    assert value < 1
    torch.manual_seed(99)
    assert label_free.proxy_a_distance(source, target) == value
    assert 0 <= label_free.proxy_a_distance(source[:2], target[:3]) <= 2
    assert label_free.proxy_a_distance(*shifted(50, 60, shift=20)) == 2


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda x: label_free.structure_agreement(x, x, max_items=2), 'at least 3, got 2'),
        (lambda x: label_free.structure_agreement(x, x[:0]), r'text embeddings .* got \(0, 4\)'),
        (lambda x: label_free.retrieval_entropy(x, x, scale=0), 'scale must be positive, got 0'),
        (lambda x: label_free.retrieval_entropy(x, x[:, :2]), 'different widths, 4 and 2'),
        (lambda x: label_free.hubness(x, x, k=0), 'k must be at least 1, got 0'),
        (lambda x: label_free.hubness(x[0], x), r'query embeddings .* got \(4,\)'),
        (lambda x: label_free.hubness(x * math.nan, x), 'query embeddings hold NaN'),
        (lambda x: label_free.proxy_a_distance(x, x, folds=1), 'folds must be at least 2, got 1'),
        (lambda x: label_free.proxy_a_distance(x, x[:1]), 'at least two rows, got 5 and 1'),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(torch.randn(5, 4))
