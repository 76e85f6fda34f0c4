"""Which texts belong to which images of a target that has no pairs.

Letters: N images and M distinct texts; D the width of an embedding, C of a feature.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from urbancross_mm.functional import transport
from urbancross_mm.functional.anchors import Anchors, anchor_factors
from urbancross_mm.functional.groups import Pair, Reference, group_factors, named_groups

# Rows whose scores are computed together.
CHUNK = 2048


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


class PairingPlan(NamedTuple):
    """A transport plan in factors: any pair of an image and a text can be looked up.

    - ``images`` ``(N, K)``, ``texts`` ``(M, K)``: their inner products are the scores by
      temperature.
    - ``image_potentials`` ``(N,)``, ``text_potentials`` ``(M,)``.
    - ``image_mass`` ``(N,)``, ``text_mass`` ``(M,)``: what the plan gives to each item by its
      share: 1 if it meets it, less if little fits.
    """

    images: Tensor
    texts: Tensor
    image_potentials: Tensor
    text_potentials: Tensor
    image_mass: Tensor
    text_mass: Tensor

    def density(self, images: Tensor, texts: Tensor) -> Tensor:
        """How much more than by chance texts belong to images.

        Args:
            images (Tensor): Rows of images.
            texts (Tensor): Rows of texts.

        Shape:
            images ``(n,)``, texts ``(m,)`` long -> ``(n, m)``.

        Returns:
            Tensor: From 0; 1 is chance.
        """
        logits = self.images[images] @ self.texts[texts].t()
        logits = logits + self.image_potentials[images][:, None] + self.text_potentials[texts]
        return logits.exp()


class PlanOptions(NamedTuple):
    """How a plan is made. Temperatures and weights count in standard deviations of the scores.

    - ``eps``: temperature; small makes the plan sharp.
    - ``neighbors``: the scores of an item are averaged over so many items like it; 0 for none,
      None for ``sqrt(items) / 5``.
    - ``structure``: weight of the agreement of both modalities (fused Gromov-Wasserstein); 0
      leaves it out.
    - ``rounds``: how often the structure is compared again.
    - ``matched``: share of the mass that is moved; the rest of the items fits nothing.
    - ``groups``: so many groups of images and of texts are matched before the items; 0 for none.
    - ``words``: names of groups instead: a text belongs to the first that it contains.
    - ``max_items``: images, and texts, that the plan is solved on; it extends to the others.
    """

    eps: float = 0.15
    neighbors: int | None = None
    structure: float = 2.0
    rounds: int = 3
    matched: float = 1.0
    groups: int = 0
    words: Sequence[str] = ()
    max_items: int = 4096

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> PlanOptions:
        """Read them from a config.

        Args:
            options (Mapping): Some of the options.

        Returns:
            PlanOptions: These, and the defaults of the others.

        Raises:
            ValueError: If one is unknown or out of range.
        """
        unknown = sorted(options.keys() - set(cls._fields))
        if unknown:
            raise ValueError(
                f'a plan has no option {", ".join(unknown)}; there are {", ".join(cls._fields)}'
            )
        chosen = cls(**options)
        wrong = [
            f'{name}={getattr(chosen, name)!r}'
            for name, fits in (
                ('eps', chosen.eps > 0),
                ('neighbors', chosen.neighbors is None or chosen.neighbors >= 0),
                ('structure', chosen.structure >= 0),
                ('rounds', chosen.rounds >= 0),
                ('matched', 0 < chosen.matched <= 1),
                ('groups', chosen.groups >= 0),
                ('max_items', chosen.max_items >= 2),
            )
            if not fits
        ]
        if wrong:
            raise ValueError(f'options of a plan out of range: {", ".join(wrong)}')
        return chosen


@torch.no_grad()
def make_plan(
    target: Target,
    options: PlanOptions | None = None,
    anchors: Anchors | None = None,
    texts: Sequence[str] = (),
    seed: int = 0,
) -> PairingPlan:
    r"""Pair the images and texts of a target as a whole.

    Cosines of the source model, averaged over items that are alike, are the first scores S. The
    plan P that they give is compared with the structure of both modalities, and improved:

    .. math::
        P = \arg\max \langle P, S + \alpha \, K_x P' K_y \rangle + \epsilon H(P)

    with P' the plan before, and K the centered cosines within a modality. All terms are inner
    products of item vectors, so a plan of two million pairs costs what its items cost.

    Args:
        target (Target): The items.
        options (PlanOptions, optional): How. Defaults to those that carried over between datasets.
        anchors (Anchors, optional): Known pairs. Defaults to None.
        texts (Sequence[str]): The texts themselves, for ``words``. Defaults to ().
        seed (int): Of the choice of ``max_items`` and of the groups. Defaults to 0.

    Returns:
        PairingPlan: Of all items.

    Reference:
        Vayer et al., Fused Gromov-Wasserstein (https://arxiv.org/abs/1805.09114), entropic, with
        the inner-product loss.
    """
    options = options or PlanOptions()
    reference = _reference(target, options.max_items, seed)
    units = _units(target, reference)
    factors = [_standardized(_smoothed(target, units, reference, options.neighbors), reference)]
    count = options.groups or 2 * len(options.words)
    if count:
        names = named_groups(texts, options.words) if options.words else None
        groups = group_factors(
            factors[0], units, reference, count, names, options.eps, options.structure, seed
        )
        factors.append(_standardized(groups, reference))
    if anchors is not None:
        factors.append(anchor_factors(units, reference, anchors))
    plan = _solve(factors, reference, options)
    for _ in range(options.rounds if options.structure else 0):
        matched = _matched(units, plan, reference)
        structure = _standardized(Pair(units.images @ matched, units.texts), reference)
        structure = Pair(options.structure * structure.images, structure.texts)
        plan = _solve([*factors, structure], reference, options)
    return plan


def _reference(target: Target, limit: int, seed: int) -> Reference:
    """All items, or a random part."""
    generator = torch.Generator().manual_seed(seed)
    images, texts = (
        torch.randperm(len(rows), generator=generator)[:limit].sort().values
        for rows in (target.image_embeds, target.text_embeds)
    )
    mass = target.text_mass[texts].double()
    return Reference(
        images, texts, torch.full((len(images),), 1 / len(images)).double(), mass / mass.sum()
    )


def _units(target: Target, reference: Reference) -> Pair:
    """Directions of the features from their mean, ``(N, C)`` and ``(M, C')``."""
    return Pair(
        *(
            normalize(feats - mass.to(feats) @ feats[rows], dim=1)
            for feats, rows, mass in (
                (target.image_feats, reference.images, reference.image_mass),
                (target.text_feats, reference.texts, reference.text_mass),
            )
        )
    )


def _smoothed(target: Target, units: Pair, reference: Reference, neighbors: int | None) -> Pair:
    """Embeddings averaged over the nearest items of the same modality."""
    smooth = []
    for embeds, unit, rows in (
        (target.image_embeds, units[0], reference.images),
        (target.text_embeds, units[1], reference.texts),
    ):
        count = round(math.sqrt(len(rows)) / 5) if neighbors is None else neighbors
        smooth.append(
            torch.cat(
                [
                    _mean_of_nearest(part, unit[rows], embeds[rows], count)
                    for part in unit.split(CHUNK)
                ]
            )
            if count > 1
            else embeds
        )
    return Pair(*smooth)


def _mean_of_nearest(queries: Tensor, keys: Tensor, values: Tensor, count: int) -> Tensor:
    """Mean of the values of the nearest keys, weighted by their cosines from 0."""
    cosines, rows = (queries @ keys.t()).topk(min(count, len(keys)), dim=1)
    weights = cosines.clamp(min=1e-6)
    return torch.einsum('nk,nkd->nd', weights / weights.sum(dim=1, keepdim=True), values[rows])


def _standardized(factors: Pair, reference: Reference) -> Pair:
    """Factors whose products have mean 0 in each row and column, and a standard deviation of 1."""
    images, texts = factors
    images = images - reference.image_mass.to(images) @ images[reference.images]
    texts = texts - reference.text_mass.to(texts) @ texts[reference.texts]
    # The mean square of all products, by the second moments of both sides.
    moments = [
        (rows * mass.to(rows)[:, None]).t() @ rows
        for rows, mass in (
            (images[reference.images], reference.image_mass),
            (texts[reference.texts], reference.text_mass),
        )
    ]
    spread = (moments[0] * moments[1]).sum().clamp(min=1e-30).sqrt()
    return Pair(images / spread, texts)


def _matched(units: Pair, plan: PairingPlan, reference: Reference) -> Tensor:
    """``F_x^T P F_y``, (C, C'): what in the images goes with what in the texts."""
    images, texts = units
    total = images.new_zeros(images.shape[1], texts.shape[1])
    mass = reference.text_mass.to(texts)
    share = 1 / len(reference.images)
    for rows in reference.images.split(CHUNK):
        pairs = plan.density(rows, reference.texts) * mass * share
        total += images[rows].t() @ (pairs.to(images) @ texts[reference.texts])
    return total


def _solve(factors: Sequence[Pair], reference: Reference, options: PlanOptions) -> PairingPlan:
    """Transport on the reference, extended to all items."""
    images = torch.cat([pair.images for pair in factors], dim=1) / options.eps
    texts = torch.cat([pair.texts for pair in factors], dim=1)
    known_images, known_texts = images[reference.images], texts[reference.texts]
    found = transport.potentials(
        known_images @ known_texts.t(), 1.0, 50, None, reference.text_mass, options.matched
    )
    side = (
        (images, known_texts, found.columns, found.spare_column, reference.text_mass),
        (texts, known_images, found.rows, found.spare_row, reference.image_mass),
    )
    parts = [_extended(*arguments) for arguments in side]
    (image_potentials, image_mass), (text_potentials, text_mass) = parts
    return PairingPlan(
        images,
        texts,
        image_potentials.to(images),
        text_potentials.to(images),
        image_mass.to(images),
        text_mass.to(images),
    )


def _extended(
    rows: Tensor, columns: Tensor, known: Tensor, spare: Tensor, mass: Tensor
) -> tuple[Tensor, Tensor]:
    """Potentials of all rows, and the share of its mass that each gets."""
    found = []
    for part in rows.split(CHUNK):
        found.append(transport.extend(part @ columns.t(), known, spare, 1.0, mass))
    potentials = torch.cat(found)
    return potentials, 1 - (potentials + spare).exp()
