"""Images to label come from the groups that a plan is least sure of."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from urbancross_mm.functional.pairing_factors import Target
from urbancross_mm.functional.pairing_plan import PairingPlan
from urbancross_mm.inference import anchor_proposals
from urbancross_mm.inference.anchor_proposals import choose_images

GROUPS, EACH = 3, 10


def world(unsure: int) -> tuple[Target, PairingPlan]:
    """Three groups; of one the plan does not know the texts. Each has an image in its middle."""
    generator = torch.Generator().manual_seed(0)
    group = torch.arange(GROUPS).repeat_interleave(EACH)
    noise = 0.05 * torch.randn(GROUPS, EACH, 4, generator=generator)
    noise[:, 0] = 0
    noise[:, 1:] -= noise[:, 1:].mean(dim=1, keepdim=True)
    feats = torch.eye(GROUPS, 4)[group] + noise.flatten(0, 1)
    embeds = normalize(feats, dim=1)
    count = len(group)
    target = Target(embeds, embeds, feats, feats, torch.ones(count))
    scores = torch.where(group[:, None] == group, math.log(GROUPS), -30.0)
    scores[group == unsure] = 0.0
    ones = torch.ones(count)
    return target, PairingPlan(scores, torch.eye(count), 0 * ones, 0 * ones, ones, ones, 99 * ones)


@pytest.fixture(autouse=True)
def _few_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchor_proposals, 'FEWEST_GROUPS', GROUPS)


@pytest.mark.parametrize('unsure', range(GROUPS))
def test_the_middle_of_the_unsure_group_comes_first(unsure: int) -> None:
    target, plan = world(unsure)
    nothing = torch.zeros(GROUPS * EACH, dtype=torch.bool)
    assert choose_images(target, plan, 1, nothing).tolist() == [unsure * EACH]


def test_a_group_with_a_label_is_not_asked_again() -> None:
    target, plan = world(1)
    known = torch.zeros(GROUPS * EACH, dtype=torch.bool)
    known[EACH + 3] = True
    assert choose_images(target, plan, 1, known).tolist() != [EACH]


def test_no_image_is_proposed_twice() -> None:
    target, plan = world(0)
    rows = choose_images(target, plan, 20, torch.zeros(GROUPS * EACH, dtype=torch.bool)).tolist()
    assert 1 < len(rows) == len(set(rows)) <= 20
