"""Known pairs against a loop, and what they do to a plan."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import normalize

from urbancross_mm.functional.anchors import (
    STRENGTH,
    WIDTH,
    Anchors,
    anchor_factors,
    find_anchors,
)
from urbancross_mm.functional.groups import Pair, Reference
from urbancross_mm.functional.pairing_plan import PlanOptions, Target, make_plan

GROUPS, EACH = 4, 12


def world(seed: int = 0) -> tuple[Target, torch.Tensor]:
    """Groups of images and of texts, by their features; the scores say nothing."""
    generator = torch.Generator().manual_seed(seed)
    group = torch.arange(GROUPS).repeat_interleave(EACH)

    def feats(width: int) -> torch.Tensor:
        centers = torch.eye(GROUPS, width)
        return centers[group] + 0.1 * torch.randn(len(group), width, generator=generator)

    embeds = [normalize(torch.randn(len(group), 6, generator=generator), dim=1) for _ in range(2)]
    return Target(*embeds, feats(8), feats(5), torch.ones(len(group))), group


def on_own_group(target: Target, group: torch.Tensor, anchors: Anchors | None) -> torch.Tensor:
    """Share of the mass of each group of images that goes to its texts."""
    plan = make_plan(target, PlanOptions(neighbors=0, structure=0), anchors)
    rows = torch.arange(len(group))
    right = (group[:, None] == group).float()
    mass = plan.density(rows, rows) / len(group)
    return torch.stack([(mass * right)[group == g].sum(dim=1).mean() for g in range(GROUPS)])


def test_against_a_loop() -> None:
    torch.manual_seed(1)
    units = Pair(normalize(torch.randn(5, 3), dim=1), normalize(torch.randn(6, 4), dim=1))
    reference = Reference(
        torch.tensor([0, 2, 3]),
        torch.tensor([1, 4]),
        torch.full((3,), 1 / 3),
        torch.tensor([0.3, 0.7]),
    )
    anchors = Anchors(torch.tensor([4, 0, 4]), torch.tensor([2, 5, 3]))
    found = anchor_factors(units, reference, anchors)
    scores = torch.zeros(5, 6)
    for image, texts in ((0, {5: 1.0}), (4, {2: 0.5, 3: 0.5})):
        x = [math.exp((float(units.images[i] @ units.images[image]) - 1) / WIDTH) for i in range(5)]
        y = [
            sum(
                w * math.exp((float(units.texts[j] @ units.texts[t]) - 1) / WIDTH)
                for t, w in texts.items()
            )
            for j in range(6)
        ]
        x_mean = (x[0] + x[2] + x[3]) / 3
        y_mean = 0.3 * y[1] + 0.7 * y[4]
        scores += STRENGTH * (torch.tensor(x) - x_mean)[:, None] * (torch.tensor(y) - y_mean)
    torch.testing.assert_close(found.images @ found.texts.t(), scores)


def test_one_label_of_a_group_pairs_the_group() -> None:
    target, group = world()
    before = on_own_group(target, group, None)
    one = on_own_group(target, group, Anchors(torch.tensor([EACH]), torch.tensor([EACH + 5])))
    assert before.max() < 0.5 and one[1] > 0.8
    every = torch.arange(GROUPS) * EACH
    assert on_own_group(target, group, Anchors(every, every + 3)).min() > 0.8


def test_a_class_pairs_as_a_caption_does() -> None:
    target, group = world()
    images = torch.full((EACH,), EACH)
    of_class = Anchors(images, (group == 1).nonzero()[:, 0])
    assert on_own_group(target, group, of_class)[1] > 0.8


def test_labels_become_rows_of_images_and_texts() -> None:
    labels = {'b': ['x', 'y', 'not there'], 'a': ['y'], 'elsewhere': ['x'], 'c': ['not there']}
    found = find_anchors(labels, ['a', 'b', 'c'], ['x', 'y'])
    assert found.images.tolist() == [1, 1, 0] and found.texts.tolist() == [0, 1, 1]
    assert find_anchors({'elsewhere': ['x']}, ['a'], ['x']) is None
    assert find_anchors({}, ['a'], ['x']) is None
