"""Whether a pairing would come out the same of other items of the target."""

from __future__ import annotations

import torch
from torch import Tensor

from urbancross_mm.functional.pairing_plan import PlanOptions, make_plan
from urbancross_mm.inference.trust.target_view import (
    TargetView,
    by_group,
    part_of,
    rows_of,
    sides,
    standardized,
    units,
)


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
        part = part_of(target, None, texts)
        pairs = rows_of(make_plan(part, options), part.text_mass / part.text_mass.sum())
        by_texts.append(by_group(pairs, found.text_groups[texts]))
        part = part_of(target, images, None)
        pairs = rows_of(make_plan(part, options), found.mass)
        columns = (pairs / pairs.sum(dim=0).clamp(min=1e-30)).t()
        by_images.append(by_group(columns, found.image_groups[images]))
        least = PlanOptions(max_items=min(len(found.pairs), len(found.mass)) // 2)
        pairs = rows_of(make_plan(target, least, seed=seed + 1 + number), found.mass)
        by_both.append(by_group(pairs, found.text_groups))
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
    images, texts = (units(feats, own) for feats, own in sides(target))
    halves = [torch.randperm(len(rows), generator=generator).chunk(2) for rows in (images, texts)]
    total = 0.0
    for here, there in ((0, 1), (1, 0)):
        part = part_of(target, halves[0][here], halves[1][here])
        pairs = rows_of(make_plan(part), part.text_mass / part.text_mass.sum())
        map_of_pairs = images[halves[0][here]].t() @ (pairs @ texts[halves[1][here]])
        i, t = halves[0][there], halves[1][there]
        mass = found.mass[t] / found.mass[t].sum()
        expected = standardized(images[i] @ map_of_pairs @ texts[t].t(), mass)
        scores = standardized(target.image_embeds[i] @ target.text_embeds[t].t(), mass)
        total += float((expected * scores * mass).sum() / len(i)) / 2
    return total
