"""A target as the source model sees it."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from urbancross_mm.functional.groups import cluster
from urbancross_mm.functional.pairing_plan import PairingPlan, PlanOptions, Target, make_plan

# A partial plan may leave so much of the target unmatched.
MATCHED = 0.8
# Images, or texts, per group, about, and most groups.
PER_GROUP, MOST_GROUPS = 12, 20
LEAST_ITEMS = 20


class TargetView(NamedTuple):
    """A target as the source model sees it: its plans and groups.

    - ``plan``: the whole plan; ``partial``: the plan that leaves out what fits worst.
    - ``pairs`` ``(N, M)``: mass of the whole plan; each row sums to 1.
    - ``image_groups`` ``(N,)``, ``text_groups`` ``(M,)``: by k-means.
    - ``mass`` ``(M,)``: shares of the texts.
    """

    target: Target
    plan: PairingPlan
    partial: PairingPlan
    pairs: Tensor
    image_groups: Tensor
    text_groups: Tensor
    mass: Tensor


def view(target: Target, seed: int = 0) -> TargetView:
    """Plan and group a target.

    Args:
        target (Target): Encoded by the source model; at most some thousand images and texts.
        seed (int): Of the groups. Defaults to 0.

    Returns:
        TargetView: What the measures are taken from.

    Raises:
        ValueError: If there are too few images or texts.
    """
    sizes = len(target.image_embeds), len(target.text_embeds)
    if min(sizes) < LEAST_ITEMS:
        raise ValueError(
            f'a report needs at least {LEAST_ITEMS} images and {LEAST_ITEMS} distinct texts of the '
            f'target, got {sizes[0]} and {sizes[1]}: caption these images, or add more'
        )
    mass = target.text_mass / target.text_mass.sum()
    plan, partial = (
        make_plan(target, PlanOptions(matched=share, max_items=max(sizes)), seed=seed)
        for share in (1.0, MATCHED)
    )
    groups = [_groups(units(feats, own), seed) for feats, own in sides(target)]
    return TargetView(target, plan, partial, rows_of(plan, mass), groups[0], groups[1], mass)


def sides(target: Target) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Features and shares of both sides.

    Args:
        target (Target): The items.

    Returns:
        tuple: Of the images and of the texts: features, and shares with sum 1.
    """
    shares = torch.full((len(target.image_feats),), 1 / len(target.image_feats))
    return (
        (target.image_feats, shares.to(target.image_feats)),
        (target.text_feats, (target.text_mass / target.text_mass.sum()).to(target.text_feats)),
    )


def units(feats: Tensor, mass: Tensor) -> Tensor:
    """Directions of features from their mean.

    Args:
        feats (Tensor): Rows.
        mass (Tensor): Their shares.

    Shape:
        ``(N, C)`` and ``(N,)`` -> ``(N, C)``.

    Returns:
        Tensor: Unit vectors.
    """
    return normalize(feats - mass @ feats, dim=1)


def _groups(units: Tensor, seed: int) -> Tensor:
    """Group of each row."""
    count = min(max(len(units) // PER_GROUP, 2), MOST_GROUPS)
    labels = (units @ cluster(units, count, seed).t()).argmax(dim=1)
    return labels.unique(return_inverse=True)[1]


def rows_of(plan: PairingPlan, mass: Tensor) -> Tensor:
    """Texts of each image.

    Args:
        plan (PairingPlan): The plan.
        mass (Tensor): Shares of its texts.

    Shape:
        mass ``(M,)`` -> ``(N, M)``.

    Returns:
        Tensor: Rows with sum 1.
    """
    every = [torch.arange(len(side)) for side in (plan.images, plan.texts)]
    pairs = plan.density(*every) * mass.to(plan.images)
    return pairs / pairs.sum(dim=1, keepdim=True).clamp(min=1e-30)


def by_group(pairs: Tensor, groups: Tensor) -> Tensor:
    """Mass of each row on each group of columns.

    Args:
        pairs (Tensor): Mass.
        groups (Tensor): Group of each column.

    Shape:
        ``(N, M)`` and ``(M,)`` -> ``(N, H)``.

    Returns:
        Tensor: Sums.
    """
    return pairs @ one_hot(groups).to(pairs)


def standardized(scores: Tensor, mass: Tensor) -> Tensor:
    """Scores with mean 0 in rows and columns, and a standard deviation of 1.

    Args:
        scores (Tensor): Of images and texts.
        mass (Tensor): Shares of the texts.

    Shape:
        ``(N, M)`` and ``(M,)`` -> ``(N, M)``.

    Returns:
        Tensor: Standardized.
    """
    scores = scores - (scores @ mass)[:, None]
    scores = scores - scores.mean(dim=0)
    return scores / math.sqrt(max(float((scores.square() @ mass).mean()), 1e-30))


def part_of(target: Target, images: Tensor | None, texts: Tensor | None) -> Target:
    """Some items of a target.

    Args:
        target (Target): All items.
        images (Tensor | None): Rows; None for all.
        texts (Tensor | None): Rows; None for all.

    Returns:
        Target: The chosen ones.
    """
    i = slice(None) if images is None else images
    t = slice(None) if texts is None else texts
    return Target(
        target.image_embeds[i],
        target.text_embeds[t],
        target.image_feats[i],
        target.text_feats[t],
        target.text_mass[t],
    )
