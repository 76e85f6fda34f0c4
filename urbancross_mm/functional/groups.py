"""Groups of images and of texts, matched before their items."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from urbancross_mm.functional import transport

ROUNDS = 5
ROUNDS_OF_MEANS = 20
# Of each new center, the best is taken: one alone often falls into a group that has one.
CANDIDATES = 8
# A pair of groups that the plan leaves out is unlikely, not impossible.
FLOOR = 0.01


class Reference(NamedTuple):
    """Rows of images and of texts that a plan is solved on, and the masses of both."""

    images: Tensor
    texts: Tensor
    image_mass: Tensor
    text_mass: Tensor


class Pair(NamedTuple):
    """One matrix for images and one for texts."""

    images: Tensor
    texts: Tensor


def group_factors(
    scores: Pair,
    units: Pair,
    reference: Reference,
    count: int,
    names: Tensor | None,
    eps: float,
    structure: float,
    seed: int,
) -> Pair:
    """Match groups of images to groups of texts, and give every item the scores of its group.

    Args:
        scores (Pair): Factors of the scores of the items.
        units (Pair): Directions of the features.
        reference (Reference): What is grouped; other items join the nearest group.
        count (int): Groups of each side.
        names (Tensor | None): Named group of each text, -1 for none; None groups the texts by
            their features.
        eps (float): As :func:`match_groups`.
        structure (float): As :func:`match_groups`.
        seed (int): Of the first centers.

    Shape:
        scores ``(N, K)`` and ``(M, K)``; units ``(N, C)`` and ``(M, C')``; names ``(M,)``.

    Returns:
        Pair: Factors ``(N, H)`` and ``(M, H)`` of the logarithms of the plan of the groups.
    """
    centers = cluster(units.images[reference.images], count, seed)
    of_images = one_hot((units.images @ centers.t()).argmax(dim=1), len(centers)).double()
    if names is None:
        centers = cluster(units.texts[reference.texts], count, seed)
        names = (units.texts @ centers.t()).argmax(dim=1)
    # A text without a name is in a group of its own that is dropped again.
    of_texts = one_hot(names + 1, int(names.max()) + 2)[:, 1:].to(of_images)
    sums, masses = [], []
    for members, rows, mass in (
        (of_images, reference.images, reference.image_mass),
        (of_texts, reference.texts, reference.text_mass),
    ):
        weights = members[rows] * mass[:, None]
        masses.append(weights.sum(dim=0).clamp(min=1e-9))
        sums.append(weights / masses[-1])
    directions = [
        normalize(weights.t() @ rows.double(), dim=1)
        for weights, rows in (
            (sums[0], units.images[reference.images]),
            (sums[1], units.texts[reference.texts]),
        )
    ]
    means = [
        sums[0].t() @ scores.images[reference.images].double(),
        sums[1].t() @ scores.texts[reference.texts].double(),
    ]
    masses = [mass / mass.sum() for mass in masses]
    plan = match_groups(
        means[0] @ means[1].t(),
        (directions[0], directions[1]),
        (masses[0], masses[1]),
        eps,
        structure,
    )
    return Pair((of_images @ (plan + FLOOR).log()).to(scores.images), of_texts.to(scores.texts))


def cluster(units: Tensor, count: int, seed: int = 0) -> Tensor:
    """Directions of the centers of spherical k-means, with the first ones far apart.

    Args:
        units (Tensor): Unit vectors.
        count (int): Number of groups; at most the rows.
        seed (int): Of the first centers. Defaults to 0.

    Shape:
        (N, C) -> (G, C).

    Returns:
        Tensor: Unit vectors.

    Reference:
        Arthur and Vassilvitskii, k-means++, with several candidates for each center.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = units.cpu()
    chosen = [rows[int(torch.randint(len(rows), (1,), generator=generator))]]
    far = (1 - rows @ chosen[0]).clamp(min=1e-9)
    for _ in range(min(count, len(rows)) - 1):
        tried = rows[torch.multinomial(far, CANDIDATES, replacement=True, generator=generator)]
        remaining = torch.minimum(far[:, None], 1 - rows @ tried.t()).clamp(min=1e-9)
        best = int(remaining.sum(dim=0).argmin())
        chosen.append(tried[best])
        far = remaining[:, best]
    centers = torch.stack(chosen)
    for _ in range(ROUNDS_OF_MEANS):
        members = one_hot((rows @ centers.t()).argmax(dim=1), len(centers)).to(rows)
        sums = members.t() @ rows
        centers = torch.where(sums.norm(dim=1, keepdim=True) > 0, normalize(sums, dim=1), centers)
    return centers.to(units)


def named_groups(texts: Sequence[str], words: Sequence[str]) -> Tensor:
    """Which name each text holds, whole and in any case; a plural s may follow.

    Args:
        texts (Sequence[str]): M texts.
        words (Sequence[str]): Names, such as ``parking lot``.

    Returns:
        Tensor: (M,) long, the first name that a text holds, or -1.

    Raises:
        ValueError: If no text holds some of the names.
    """
    patterns = [re.compile(rf'\b{re.escape(word.lower())}(s|es)?\b') for word in words]
    held = [
        [g for g, pattern in enumerate(patterns) if pattern.search(text.lower())] for text in texts
    ]
    said = {g for groups in held for g in groups}
    missing = [word for g, word in enumerate(words) if g not in said]
    if missing:
        raise ValueError(
            f'no text of the target says {", ".join(map(repr, missing[:5]))}: leave such names '
            'out, or write them as the texts do'
        )
    return torch.tensor([min(groups, default=-1) for groups in held], dtype=torch.long)


def match_groups(
    scores: Tensor,
    centers: tuple[Tensor, Tensor],
    masses: tuple[Tensor, Tensor],
    eps: float,
    structure: float,
) -> Tensor:
    """Transport between groups, by their scores and their structure.

    Args:
        scores (Tensor): Mean score of the items of two groups.
        centers (tuple[Tensor, Tensor]): Directions of the groups of images and of texts.
        masses (tuple[Tensor, Tensor]): Their shares.
        eps (float): Temperature, in standard deviations of the scores.
        structure (float): Weight of the structure.

    Shape:
        scores ``(G, H)``; centers ``(G, C)`` and ``(H, C')``; masses ``(G,)`` and ``(H,)``;
        output ``(G, H)``.

    Returns:
        Tensor: How much more than by chance two groups belong together.
    """
    rows, columns = masses
    product = rows[:, None] * columns

    def standardized(values: Tensor) -> Tensor:
        values = values.double()
        values = values - rows @ values - (values @ columns)[:, None] + rows @ values @ columns
        return values / (product * values.square()).sum().clamp(min=1e-30).sqrt()

    similar = [center.double() @ center.double().t() for center in centers]
    first = standardized(scores)
    plan = transport.sinkhorn(first, eps, 200, rows, columns)
    for _ in range(ROUNDS if structure else 0):
        agreement = standardized(similar[0] @ plan.double() @ similar[1])
        plan = transport.sinkhorn(first + structure * agreement, eps, 200, rows, columns)
    return plan.double() / product
