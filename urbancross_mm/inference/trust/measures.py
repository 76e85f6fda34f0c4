"""What can be measured of an adaptation without pairs.

Letters: N images and M distinct texts of the target; G groups of images, H of texts.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from urbancross_mm.functional import label_free
from urbancross_mm.inference.trust.stability import stabilities, support
from urbancross_mm.inference.trust.target_view import (
    TargetView,
    by_group,
    sides,
    standardized,
    units,
)

# Below so much of its share an item, or a group, counts as one that nothing takes.
TAKEN = 0.5
# Main directions of a covariance.
DIRECTIONS = 10


def of_target(found: TargetView, seed: int = 0) -> dict[str, float]:
    """How well the two sides of a target fit, by the source model.

    Args:
        found (TargetView): From :func:`target_view.view`.
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
    images, texts = (units(feats, own) for feats, own in sides(target))
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
        **common_content(found),
    )


def common_content(found: TargetView) -> dict[str, float]:
    """How far images and texts, as the source model embeds them, speak of the same things.

    Args:
        found (TargetView): By the source model.

    Returns:
        dict[str, float]: Numbers up to 1.

        - ``shared``: cosine of the covariances of both sides.
        - ``image_within``, ``text_within``: variance of one side along the main directions of the
          other, by that along its own.
        - ``cycle``: share of the images whose best text finds an image of their group.
        - ``image_reach``, ``text_reach``: how far the best score stands out, in standard
          deviations (no limit).
    """
    target = found.target
    images = target.image_embeds - target.image_embeds.mean(dim=0)
    texts = target.text_embeds - found.mass @ target.text_embeds
    spreads = images.t() @ images / len(images), (texts * found.mass[:, None]).t() @ texts
    main = [torch.linalg.eigh(spread)[1][:, -DIRECTIONS:] for spread in spreads]
    own = [(way.t() @ spread @ way).trace() for way, spread in zip(main, spreads)]
    scores = standardized(target.image_embeds @ target.text_embeds.t(), found.mass)
    back = scores.argmax(dim=0)[scores.argmax(dim=1)]
    return dict(
        shared=float((spreads[0] * spreads[1]).sum() / spreads[0].norm() / spreads[1].norm()),
        image_within=float((main[1].t() @ spreads[0] @ main[1]).trace() / own[0]),
        text_within=float((main[0].t() @ spreads[1] @ main[0]).trace() / own[1]),
        cycle=float((found.image_groups == found.image_groups[back]).float().mean()),
        image_reach=float(scores.amax(dim=1).mean()),
        text_reach=float(found.mass @ scores.amax(dim=0)),
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
    given = by_group(found.pairs, found.text_groups).argmax(dim=1)
    for when, (images, texts) in (('before', before), ('after', (image_embeds, text_embeds))):
        numbers[f'agreement_{when}'] = label_free.structure_agreement(images, texts)
        numbers[f'hubness_{when}'] = (
            label_free.hubness(images, texts) + label_free.hubness(texts, images)
        ) / 2
        scores.append(standardized(images @ texts.t(), found.mass))
        best = found.text_groups[(images @ texts.t()).argmax(dim=1)]
        numbers[f'followed_{when}'] = float((best == given).float().mean())
        numbers[f'score_{when}'] = float((found.pairs * scores[-1]).sum() / len(images))
    numbers['kept'] = float((scores[0] * scores[1] * found.mass).sum() / len(given))
    return numbers


def group_table(found: TargetView) -> Tensor:
    """Mass of the whole plan between groups.

    Args:
        found (TargetView): The plan and the groups.

    Shape:
        output: ``(G, H)``.

    Returns:
        Tensor: Shares with sum 1.
    """
    rows = by_group(found.pairs, found.text_groups)
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


def _group_mean(values: Tensor, groups: Tensor) -> Tensor:
    members = one_hot(groups).to(values)
    return values @ members / members.sum(dim=0)


def _correlation(first: Tensor, second: Tensor) -> float:
    """Over all pairs of different items."""
    row, column = torch.triu_indices(len(first), len(first), offset=1)
    values = torch.stack([first[row, column], second[row, column]])
    return float(torch.corrcoef(values)[0, 1].nan_to_num())
