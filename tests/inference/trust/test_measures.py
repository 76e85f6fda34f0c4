"""Measures of an adaptation against naive computations, and against what they must tell apart."""

from __future__ import annotations

import math

import pytest
import torch

from tests.inference.trust.world import items
from urbancross_mm.functional import label_free
from urbancross_mm.inference.trust import measures, stability
from urbancross_mm.inference.trust.coverage import coverage, left
from urbancross_mm.inference.trust.target_view import (
    LEAST_ITEMS,
    TargetView,
    part_of,
    standardized,
    view,
)


@pytest.fixture(scope='module')
def found() -> TargetView:
    return view(items()[0].target)


@pytest.fixture(scope='module')
def other() -> TargetView:
    return view(items(told=range(8, 16))[0].target)


def test_the_view_is_the_plan(found: TargetView) -> None:
    density = found.plan.density(torch.arange(3), torch.arange(len(found.mass)))
    expected = density * found.mass
    torch.testing.assert_close(found.pairs[:3], expected / expected.sum(dim=1, keepdim=True))
    assert found.partial.image_mass.mean() == pytest.approx(0.8, abs=0.02)
    assert found.image_groups.unique().tolist() == list(range(int(found.image_groups.max()) + 1))


def test_standardized_naively() -> None:
    scores, mass = torch.randn(5, 4), torch.tensor([0.1, 0.2, 0.3, 0.4])
    result = standardized(scores, mass)
    assert (result @ mass).abs().max() < 1e-5 and result.mean(dim=0).abs().max() < 1e-5
    variance = sum(
        float(mass[j]) * float(result[i, j]) ** 2 / 5 for i in range(5) for j in range(4)
    )
    assert variance == pytest.approx(1, abs=1e-4)


def test_group_table_naively(found: TargetView) -> None:
    table = measures.group_table(found)
    for g, h in ((0, 0), (1, 3)):
        rows = (found.image_groups == g).nonzero()[:, 0].tolist()
        columns = (found.text_groups == h).nonzero()[:, 0].tolist()
        naive = sum(float(found.pairs[i, j]) for i in rows for j in columns) / len(found.pairs)
        assert float(table[g, h]) == pytest.approx(naive, rel=1e-4, abs=1e-7)
    assert float(table.sum()) == pytest.approx(1, abs=1e-5)


def test_sharpness_naively() -> None:
    assert measures.sharpness(torch.eye(4) / 4) == pytest.approx(1)
    assert measures.sharpness(torch.full((4, 3), 1 / 12)) == pytest.approx(0, abs=1e-6)
    assert measures.sharpness(torch.ones(1, 1)) == 0
    table = torch.tensor([[0.3, 0.1], [0.05, 0.55]])
    rows, columns = table.sum(dim=1).tolist(), table.sum(dim=0).tolist()
    both = sum(
        float(table[i, j]) * math.log(float(table[i, j]) / rows[i] / columns[j])
        for i in range(2)
        for j in range(2)
    )
    least = min(-sum(p * math.log(p) for p in shares) for shares in (rows, columns))
    assert measures.sharpness(table) == pytest.approx(both / least, rel=1e-4)


def test_overlap_is_beyond_chance() -> None:
    first = torch.eye(6).repeat(20, 1)
    assert stability.overlap(first, first) == pytest.approx(1)
    assert stability.overlap(torch.full((60, 5), 0.2), torch.full((60, 5), 0.2)) == 0
    mixed = torch.rand(200, 6, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    assert stability.overlap(mixed, mixed.flip(0)) < 0.2
    assert stability.overlap(first, first[:, :5]) < 1  # a group that only one has


def test_common_content_naively(found: TargetView) -> None:
    numbers = measures.common_content(found)
    sides = found.target.image_embeds, found.target.text_embeds
    spreads = [torch.cov(rows.t(), correction=0) for rows in sides]
    shared = (spreads[0] * spreads[1]).sum() / spreads[0].norm() / spreads[1].norm()
    assert numbers['shared'] == pytest.approx(float(shared), rel=1e-3)
    scores = standardized(sides[0] @ sides[1].t(), found.mass)
    back = [int(scores[:, int(row.argmax())].argmax()) for row in scores]
    same = [found.image_groups[i] == found.image_groups[b] for i, b in enumerate(back)]
    assert numbers['cycle'] == pytest.approx(sum(map(float, same)) / len(same))
    assert numbers['image_reach'] == pytest.approx(float(scores.amax(dim=1).mean()))


def test_what_fits_measures_higher_than_what_does_not(found: TargetView, other: TargetView) -> None:
    good, bad = (measures.of_target(seen) for seen in (found, other))
    for name in ('fit', 'support', 'sharpness', 'stability', 'shared', 'image_within'):
        assert good[name] > bad[name] + 0.1, name
    assert good == measures.of_target(found)


def test_of_models_naively(found: TargetView) -> None:
    _, images, texts = items()
    numbers = measures.of_models(found, images, texts)
    before = found.target.image_embeds, found.target.text_embeds
    assert numbers['agreement_before'] == label_free.structure_agreement(*before)
    assert numbers['agreement_after'] == label_free.structure_agreement(images, texts)
    hubs = label_free.hubness(images, texts), label_free.hubness(texts, images)
    assert numbers['hubness_after'] == pytest.approx(sum(hubs) / 2)
    followed = 0
    for row, pairs in zip(images @ texts.t(), found.pairs):
        mass = [float(pairs[found.text_groups == g].sum()) for g in found.text_groups.unique()]
        followed += int(found.text_groups[int(row.argmax())]) == mass.index(max(mass))
    assert numbers['followed_after'] == pytest.approx(followed / len(images))
    unchanged = measures.of_models(found, *before)
    assert unchanged['kept'] == pytest.approx(1, abs=1e-4)
    assert unchanged['score_before'] == unchanged['score_after']


def test_coverage_names_what_has_no_partner() -> None:
    known, *_ = items(told=range(6), seen=range(8))
    found = view(known.target)
    result, images_left = coverage(found), left(known.target)[0]
    foreign = [row >= 6 * 25 for row in images_left.rows]
    assert len(foreign) > 10 and sum(foreign) > 0.7 * len(foreign)
    mass = found.partial.image_mass
    assert images_left.mass == sorted(mass[mass < measures.TAKEN].tolist())
    assert mass[images_left.rows].tolist() == images_left.mass
    for number, group in enumerate(result.images):
        members = (found.image_groups == number).nonzero()[:, 0]
        assert group.size == len(members) and set(group.examples) <= set(members.tolist())
        assert group.mass == pytest.approx(float(mass[members].mean()), rel=1e-4)
        assert group.partner == int(measures.group_table(found)[number].argmax())


def test_too_few_items_are_refused() -> None:
    target = items()[0].target
    few = part_of(target, torch.arange(3), None)
    with pytest.raises(ValueError, match=f'{LEAST_ITEMS} .*got 3 and 200'):
        view(few)
