"""What can be measured of an adaptation without pairs.

Letters: N images and M distinct texts of the target; G groups of images, H of texts.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from urbancross_mm.functional import label_free
from urbancross_mm.functional.groups import cluster
from urbancross_mm.functional.pairing_plan import PairingPlan, PlanOptions, Target, make_plan

# A partial plan may leave so much of the target unmatched.
MATCHED = 0.8
# Below so much of its share an item, or a group, counts as one that nothing takes.
TAKEN = 0.5
# Images per group, about, and most groups.
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
    groups = [_groups(_units(feats, own), seed) for feats, own in _sides(target)]
    return TargetView(target, plan, partial, _rows(plan, mass), groups[0], groups[1], mass)


def of_target(found: TargetView, seed: int = 0) -> dict[str, float]:
    """How well the two sides of a target fit, by the source model.

    Args:
        found (TargetView): From :func:`view`.
        seed (int): Of the halves. Defaults to 0.

    Returns:
        dict[str, float]: Numbers without unit.

        - ``images``, ``texts``: how many.
        - ``image_coverage``, ``text_coverage``: share of the items in groups that the partial
          plan takes.
        - ``fit``: correlation of the similarity of images with that of the texts that the plan
          gives them.
        - ``support``: correlation, on one half of the items, of the source model's scores with
          the scores that follow from the plan of the other half.
        - ``sharpness``: information that the group of an image has of the group of its texts, 0
          to 1.
        - ``stability``: what two plans on halves of the texts, of the images, or of both agree on
          beyond chance, 0 to 1.
    """
    target = found.target
    covered = [
        float((_group_mean(side, groups) >= TAKEN)[groups].float().mean())
        for side, groups in (
            (found.partial.image_mass, found.image_groups),
            (found.partial.text_mass, found.text_groups),
        )
    ]
    images, texts = (_units(feats, own) for feats, own in _sides(target))
    given = normalize(found.pairs @ texts, dim=1)
    return dict(
        images=float(len(images)),
        texts=float(len(texts)),
        image_coverage=covered[0],
        text_coverage=covered[1],
        fit=_correlation(images @ images.t(), given @ given.t()),
        support=support(found, seed),
        sharpness=sharpness(group_table(found)),
        stability=sum(stabilities(found, seed).values()) / 3,
    )


def of_models(found: TargetView, image_embeds: Tensor, text_embeds: Tensor) -> dict[str, float]:
    """What the adaptation changed.

    Args:
        found (TargetView): By the source model.
        image_embeds (Tensor): Of the adapted model.
        text_embeds (Tensor): Of the adapted model.

    Shape:
        ``(N, D)`` and ``(M, D)``.

    Returns:
        dict[str, float]: Each ``_before`` and ``_after``: ``agreement`` and ``hubness``
        (:mod:`label_free`), ``followed`` (share of the images whose best text is in the group that
        the plan gives most) and ``score`` (of the plan's pairs, in standard deviations); ``kept``
        (correlation of the scores of both models).
    """
    before = found.target.image_embeds, found.target.text_embeds
    numbers, scores = {}, []
    given = _by_group(found.pairs, found.text_groups).argmax(dim=1)
    for when, (images, texts) in (('before', before), ('after', (image_embeds, text_embeds))):
        numbers[f'agreement_{when}'] = label_free.structure_agreement(images, texts)
        numbers[f'hubness_{when}'] = (
            label_free.hubness(images, texts) + label_free.hubness(texts, images)
        ) / 2
        scores.append(_standardized(images @ texts.t(), found.mass))
        best = found.text_groups[(images @ texts.t()).argmax(dim=1)]
        numbers[f'followed_{when}'] = float((best == given).float().mean())
        numbers[f'score_{when}'] = float((found.pairs * scores[-1]).sum() / len(images))
    numbers['kept'] = float((scores[0] * scores[1] * found.mass).sum() / len(given))
    return numbers


def group_table(found: TargetView) -> Tensor:
    """Mass of the whole plan between groups, ``(G, H)``, with sum 1."""
    rows = _by_group(found.pairs, found.text_groups)
    return one_hot(found.image_groups).to(rows).t() @ rows / len(rows)


def sharpness(table: Tensor) -> float:
    """Mutual information of two groupings, by the smaller entropy of both.

    Args:
        table (Tensor): Shares with sum 1.

    Shape:
        ``(G, H)``.

    Returns:
        float: 0 if every group is paired alike, 1 if each has its own partner.
    """
    rows, columns = table.sum(dim=1), table.sum(dim=0)
    both, alone = (
        -float(torch.special.xlogy(shares, shares).sum())
        for shares in (table, rows[:, None] * columns)
    )
    least = min(-float(torch.special.xlogy(shares, shares).sum()) for shares in (rows, columns))
    return max(alone - both, 0.0) / least if least > 0 else 0.0


def stabilities(found: TargetView, seed: int = 0) -> dict[str, float]:
    """What two plans on halves of the target agree on, beyond chance.

    Args:
        found (TargetView): Whole.
        seed (int): Of the halves. Defaults to 0.

    Returns:
        dict[str, float]: ``texts``: the groups of texts that an image gets from either half of the
        texts; ``images``: the other way around; ``both``: those of texts, from two plans on random
        halves of both sides.
    """
    target, size = found.target, max(len(found.pairs), len(found.mass))
    generator = torch.Generator().manual_seed(seed)
    halves = [
        torch.randperm(len(rows), generator=generator).chunk(2)
        for rows in (target.image_embeds, target.text_embeds)
    ]
    options = PlanOptions(max_items=size)
    by_texts, by_images, by_both = [], [], []
    for number in range(2):
        texts, images = halves[1][number], halves[0][number]
        part = _part(target, None, texts)
        pairs = _rows(make_plan(part, options), part.text_mass / part.text_mass.sum())
        by_texts.append(_by_group(pairs, found.text_groups[texts]))
        part = _part(target, images, None)
        pairs = _rows(make_plan(part, options), found.mass)
        columns = (pairs / pairs.sum(dim=0)).t()
        by_images.append(_by_group(columns, found.image_groups[images]))
        least = PlanOptions(max_items=min(len(found.pairs), len(found.mass)) // 2)
        pairs = _rows(make_plan(target, least, seed=seed + 1 + number), found.mass)
        by_both.append(_by_group(pairs, found.text_groups))
    return dict(texts=overlap(*by_texts), images=overlap(*by_images), both=overlap(*by_both))


def overlap(first: Tensor, second: Tensor) -> float:
    """Common mass of two sets of distributions, beyond what mixed-up rows have in common.

    Args:
        first (Tensor): A distribution in each row.
        second (Tensor): The same of another plan.

    Shape:
        ``(n, H)``, with equally many groups; the narrower is filled with 0.

    Returns:
        float: 1 for equal rows, 0 by chance or below.
    """
    width = max(first.shape[1], second.shape[1])
    first, second = (
        torch.nn.functional.pad(rows, (0, width - rows.shape[1])) for rows in (first, second)
    )
    common = float(torch.minimum(first, second).sum(dim=1).mean())
    chance = sum(
        float(torch.minimum(first, second.roll(shift, 0)).sum(dim=1).mean())
        for shift in torch.linspace(1, len(first) - 1, 20).long().tolist()
    )
    chance /= 20
    return max((common - chance) / (1 - chance), 0.0) if chance < 1 - 1e-6 else 0.0


def support(found: TargetView, seed: int = 0) -> float:
    """Whether the structure of one half of the target says what the source model says of the other.

    Args:
        found (TargetView): Whole.
        seed (int): Of the halves. Defaults to 0.

    Returns:
        float: Mean correlation of both directions.
    """
    target = found.target
    generator = torch.Generator().manual_seed(seed)
    images, texts = (_units(feats, own) for feats, own in _sides(target))
    halves = [torch.randperm(len(rows), generator=generator).chunk(2) for rows in (images, texts)]
    total = 0.0
    for here, there in ((0, 1), (1, 0)):
        part = _part(target, halves[0][here], halves[1][here])
        pairs = _rows(make_plan(part), part.text_mass / part.text_mass.sum())
        map_of_pairs = images[halves[0][here]].t() @ (pairs @ texts[halves[1][here]])
        i, t = halves[0][there], halves[1][there]
        mass = found.mass[t] / found.mass[t].sum()
        expected = _standardized(images[i] @ map_of_pairs @ texts[t].t(), mass)
        scores = _standardized(target.image_embeds[i] @ target.text_embeds[t].t(), mass)
        total += float((expected * scores * mass).sum() / len(i)) / 2
    return total


def _sides(target: Target) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Features and shares of both sides."""
    shares = torch.full((len(target.image_feats),), 1 / len(target.image_feats))
    return (
        (target.image_feats, shares.to(target.image_feats)),
        (target.text_feats, (target.text_mass / target.text_mass.sum()).to(target.text_feats)),
    )


def _units(feats: Tensor, mass: Tensor) -> Tensor:
    return normalize(feats - mass @ feats, dim=1)


def _groups(units: Tensor, seed: int) -> Tensor:
    """Group of each row."""
    count = min(max(len(units) // PER_GROUP, 2), MOST_GROUPS)
    labels = (units @ cluster(units, count, seed).t()).argmax(dim=1)
    return labels.unique(return_inverse=True)[1]


def _rows(plan: PairingPlan, mass: Tensor) -> Tensor:
    """Texts of each image: ``(N, M)``, rows with sum 1."""
    every = [torch.arange(len(side)) for side in (plan.images, plan.texts)]
    pairs = plan.density(*every) * mass.to(plan.images)
    return pairs / pairs.sum(dim=1, keepdim=True).clamp(min=1e-30)


def _by_group(pairs: Tensor, groups: Tensor) -> Tensor:
    """Mass of each row on each group of columns."""
    return pairs @ one_hot(groups).to(pairs)


def _group_mean(values: Tensor, groups: Tensor) -> Tensor:
    members = one_hot(groups).to(values)
    return values @ members / members.sum(dim=0)


def _standardized(scores: Tensor, mass: Tensor) -> Tensor:
    """Scores with mean 0 in rows and columns, and a standard deviation of 1."""
    scores = scores - (scores @ mass)[:, None]
    scores = scores - scores.mean(dim=0)
    return scores / math.sqrt(max(float((scores.square() @ mass).mean()), 1e-30))


def _correlation(first: Tensor, second: Tensor) -> float:
    """Over all pairs of different items."""
    row, column = torch.triu_indices(len(first), len(first), offset=1)
    values = torch.stack([first[row, column], second[row, column]])
    return float(torch.corrcoef(values)[0, 1].nan_to_num())


def _part(target: Target, images: Tensor | None, texts: Tensor | None) -> Target:
    """Some items of a target."""
    i = slice(None) if images is None else images
    t = slice(None) if texts is None else texts
    return Target(
        target.image_embeds[i],
        target.text_embeds[t],
        target.image_feats[i],
        target.text_feats[t],
        target.text_mass[t],
    )
