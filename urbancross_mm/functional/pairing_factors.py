"""Scores of a pairing plan as inner products of item vectors.

Letters: N images and M distinct texts; D the width of an embedding, C of a feature, K of a factor.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from urbancross_mm.functional.anchors import Anchors
from urbancross_mm.functional.groups import Pair, Reference

# Rows whose scores are computed together.
CHUNK = 2048
# What is smaller than this share of the vectors that it is a difference of is rounding.
ROUNDING = 1e-5


class Target(NamedTuple):
    """What is known of a target: embeddings of the source model, and features of each modality.

    - ``image_embeds`` ``(N, D)``, ``text_embeds`` ``(M, D)``: unit vectors of one space.
    - ``image_feats`` ``(N, C)``, ``text_feats`` ``(M, C')``: before the projection; they say what
      is alike within a modality.
    - ``text_mass`` ``(M,)``: how often each text occurs.
    """

    image_embeds: Tensor
    text_embeds: Tensor
    image_feats: Tensor
    text_feats: Tensor
    text_mass: Tensor


def draw_reference(
    target: Target, limit: int, seed: int, anchors: Anchors | None = None
) -> Reference:
    """The items that a plan is solved on: all, or a random part.

    Known pairs are always in the part: their scores are so high that only the masses of a solved
    plan keep them in bounds.

    Args:
        target (Target): The items.
        limit (int): Images, and texts, at most, unless there are more in known pairs.
        seed (int): Of the choice.
        anchors (Anchors, optional): Known pairs. Defaults to None.

    Returns:
        Reference: Sorted rows; the images have equal masses.

    Raises:
        ValueError: If a modality is empty, or the limit is not positive.
    """
    sizes = len(target.image_embeds), len(target.text_embeds)
    if not all(sizes) or limit < 1:
        raise ValueError(
            'a plan needs an image, a text and max_items of at least 1, got '
            f'{sizes[0]} images, {sizes[1]} texts and max_items={limit}'
        )
    generator = torch.Generator().manual_seed(seed)
    device = target.image_embeds.device
    images, texts = (
        _draw(torch.randperm(size, generator=generator), known, limit).to(device)
        for size, known in zip(sizes, anchors or (None, None))
    )
    image_mass = torch.full((len(images),), 1 / len(images), dtype=torch.double, device=device)
    text_mass = target.text_mass.to(device)[texts].double()
    return Reference(images, texts, image_mass, text_mass / text_mass.sum())


def _draw(order: Tensor, known: Tensor | None, limit: int) -> Tensor:
    """The known rows, and the first of the others."""
    if known is not None:
        first = known.cpu().unique()
        order = torch.cat([first, order[~torch.isin(order, first)]])
        limit = max(limit, len(first))
    return order[:limit].sort().values


def directions(target: Target, reference: Reference) -> Pair:
    """Directions of the features from their mean.

    Args:
        target (Target): The items.
        reference (Reference): Items that the mean is taken of.

    Returns:
        Pair: Unit vectors, ``(N, C)`` and ``(M, C')``; zeros where an item is the mean.
    """
    units = []
    for feats, rows, mass in (
        (target.image_feats, reference.images, reference.image_mass),
        (target.text_feats, reference.texts, reference.text_mass),
    ):
        moved = feats - mass.to(feats) @ feats[rows]
        length = moved.norm(dim=1, keepdim=True)
        real = length > ROUNDING * feats.norm(dim=1, keepdim=True)
        units.append(torch.where(real, moved / length, 0))
    return Pair(*units)


def smoothed_embeds(
    target: Target, units: Pair, reference: Reference, neighbors: int | None
) -> Pair:
    """Embeddings averaged over the nearest items of the same modality.

    Args:
        target (Target): The items.
        units (Pair): Directions of the features, which say what is near.
        reference (Reference): The items that are averaged.
        neighbors (int | None): How many; up to 1 leaves the embeddings, None takes
            ``sqrt(items) / 5``.

    Returns:
        Pair: ``(N, D)`` and ``(M, D)``.
    """
    smooth = []
    for embeds, unit, rows in (
        (target.image_embeds, units.images, reference.images),
        (target.text_embeds, units.texts, reference.texts),
    ):
        count = round(math.sqrt(len(rows)) / 5) if neighbors is None else neighbors
        if count > 1:
            keys, values = unit[rows], embeds[rows]
            parts = [_mean_of_nearest(part, keys, values, count) for part in unit.split(CHUNK)]
            embeds = torch.cat(parts)
        smooth.append(embeds)
    return Pair(*smooth)


def _mean_of_nearest(queries: Tensor, keys: Tensor, values: Tensor, count: int) -> Tensor:
    """Mean of the values of the nearest keys, weighted by their cosines from 0."""
    cosines, rows = (queries @ keys.t()).topk(min(count, len(keys)), dim=1)
    weights = cosines.clamp(min=1e-6)
    return torch.einsum('nk,nkd->nd', weights / weights.sum(dim=1, keepdim=True), values[rows])


def standardized(factors: Pair, reference: Reference) -> Pair:
    """Factors whose products have mean 0 in each row and column, and a standard deviation of 1.

    Args:
        factors (Pair): ``(N, K)`` and ``(M, K)``.
        reference (Reference): Items that count, by their masses.

    Returns:
        Pair: The same shapes. The images' are 0 if all products are alike.
    """
    centered, size = [], 1.0
    moments = []
    for rows, known, mass in (
        (factors.images, reference.images, reference.image_mass),
        (factors.texts, reference.texts, reference.text_mass),
    ):
        moved = rows - mass.to(rows) @ rows[known]
        weighted = moved[known] * mass.to(rows)[:, None]
        moments.append(weighted.t() @ moved[known])
        centered.append(moved)
        size *= float(rows[known].square().sum(dim=1).to(mass) @ mass) ** 0.5
    # The mean square of all products, by the second moments of both sides.
    spread = (moments[0] * moments[1]).sum().clamp(min=0).sqrt()
    images = torch.where(spread > ROUNDING * size, centered[0] / spread, 0)
    return Pair(images, centered[1])
