"""Groups against loops, and their matching against all permutations."""

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from urbancross_mm.functional.groups import (
    FLOOR,
    Pair,
    Reference,
    cluster,
    group_factors,
    match_groups,
    named_groups,
)


def blobs(count: int, each: int, noise: float = 0.1) -> tuple[Tensor, Tensor]:
    """Unit vectors around orthogonal directions, and which."""
    of = torch.arange(count * each) % count
    directions = torch.eye(8, dtype=torch.float64)[of]
    return normalize(directions + noise * torch.randn(len(of), 8, dtype=torch.float64)), of


@pytest.mark.parametrize('seed', range(5))
def test_clusters_are_the_blobs(seed: int) -> None:
    units, of = blobs(5, 12)
    centers = cluster(units, 5, seed)
    nearest = torch.tensor(
        [max(range(5), key=lambda g: float(unit @ centers[g])) for unit in units]
    )
    assert len({(int(a), int(b)) for a, b in zip(nearest, of, strict=True)}) == 5
    for group in range(5):  # a fixed point of k-means
        mean = sum(units[i] for i in range(len(units)) if nearest[i] == group)
        torch.testing.assert_close(centers[group], mean / mean.norm())


def test_more_clusters_explain_more() -> None:
    units = normalize(torch.randn(60, 8))
    explained = [float((units @ cluster(units, n).t()).amax(1).mean()) for n in (1, 4, 16, 60)]
    assert explained == sorted(explained) and explained[-1] > 0.999


def test_clusters_repeat_and_are_no_more_than_the_rows() -> None:
    units = normalize(torch.randn(6, 4))
    assert torch.equal(cluster(units, 3, 1), cluster(units, 3, 1))
    assert cluster(units, 50).shape == (6, 4)
    same = units[:1].expand(6, 4)
    torch.testing.assert_close(cluster(same, 3), same[:3])


def test_named_groups() -> None:
    texts = ['Two Parking Lots', 'many churches', 'a parking', 'a harborside', 'HARBOR, a church']
    assert named_groups(texts, ['parking lot', 'church', 'harbor']).tolist() == [0, 1, -1, -1, 1]


def test_a_name_may_be_said_beside_an_earlier_one_only() -> None:
    assert named_groups(['a church at a harbor'], ['church', 'harbor']).tolist() == [0]


def test_a_name_is_text_not_a_pattern() -> None:
    assert named_groups(['a.b', 'axb'], ['a.b']).tolist() == [0, -1]


def test_names_that_no_text_says() -> None:
    with pytest.raises(ValueError, match="'river', 'lake'"):
        named_groups(['a sea', 'a bay'], ['sea', 'river', 'lake'])


def best_permutation(scores: Tensor, first: Tensor, second: Tensor, weight: float) -> list[int]:
    """Of all: the most score, and agreement of the cosines between groups."""

    def value(columns: tuple[int, ...]) -> float:
        rows = range(len(columns))
        alike = sum(
            float(first[a] @ first[b]) * float(second[columns[a]] @ second[columns[b]])
            for a in rows
            for b in rows
        )
        return sum(float(scores[a, columns[a]]) for a in rows) + weight * alike

    return list(max(itertools.permutations(range(len(scores))), key=value))


def equal(count: int) -> Tensor:
    return torch.full((count,), 1 / count, dtype=torch.float64)


@pytest.mark.filterwarnings('ignore:sinkhorn has not converged')
@pytest.mark.parametrize('seed', range(5))
def test_groups_against_all_permutations(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    units = normalize(torch.randn(5, 3, generator=generator, dtype=torch.float64))
    plan = match_groups(scores, (units, units), (equal(5), equal(5)), 0.02, 0.0)
    assert plan.argmax(1).tolist() == best_permutation(scores, units, units, 0)


@pytest.mark.parametrize('seed', range(5))
def test_structure_finds_the_permutation_that_weak_scores_hint_at(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    units = normalize(torch.randn(6, 3, generator=generator, dtype=torch.float64))
    order = torch.randperm(6, generator=generator)
    turned = units[order] @ torch.linalg.qr(torch.randn(3, 3, generator=generator).double()).Q
    truth = order.argsort().tolist()
    scores = torch.zeros(6, 6, dtype=torch.float64)
    scores[torch.arange(6), truth] = 1.0
    scores[0] = scores[1].roll(1)  # two groups are called by wrong names
    scores[1] = 0.0
    assert best_permutation(scores, units, turned, 1.0) == truth
    plan = match_groups(scores, (units, turned), (equal(6), equal(6)), 0.15, 2.0)
    assert plan.argmax(1).tolist() == truth


def test_density_of_groups_has_mean_1() -> None:
    rows, columns = torch.rand(4).double() + 0.1, torch.rand(6).double() + 0.1
    rows, columns = rows / rows.sum(), columns / columns.sum()
    centers = normalize(torch.randn(4, 5)), normalize(torch.randn(6, 7))
    plan = match_groups(torch.randn(4, 6), centers, (rows, columns), 0.5, 1.0)
    torch.testing.assert_close(plan @ columns, torch.ones(4).double(), rtol=1e-4, atol=0)
    torch.testing.assert_close(rows @ plan, torch.ones(6).double(), rtol=1e-4, atol=0)


def test_items_get_the_scores_of_their_group() -> None:
    """Two kinds with one name each; the last text has no name, and counts as chance."""
    units, of = blobs(2, 10, 0.05)
    scores = Pair(units, units)
    half = torch.arange(20)
    reference = Reference(half, half, equal(20), equal(20))
    names = of.clone()
    names[-1] = -1
    factors = group_factors(scores, scores, reference, 2, names, 0.15, 1.0, 0)
    values = factors.images @ factors.texts.t()
    same = of[:, None] == of
    named = values[:, :-1]
    assert named[same[:, :-1]].min() > 0.5
    others = named[~same[:, :-1]].exp()
    assert others.min() > FLOOR * 0.999 and others.max() < 2 * FLOOR
    assert (values[:, -1] == 0).all()
    unnamed = group_factors(scores, scores, reference, 2, None, 0.15, 1.0, 0)
    assert ((unnamed.images @ unnamed.texts.t() > 0) == same).all()
