"""Which texts belong to which images of a target that has no pairs.

Letters: N images and M distinct texts; D the width of an embedding, C of a feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from urbancross_mm.functional import transport
from urbancross_mm.functional.anchors import Anchors, anchor_factors
from urbancross_mm.functional.groups import Pair, Reference, group_factors, named_groups
from urbancross_mm.functional.pairing_factors import (
    CHUNK,
    Target,
    directions,
    draw_reference,
    smoothed_embeds,
    standardized,
)
from urbancross_mm.functional.scalings import Potentials

# Sharp plans take hundreds of updates, others tens: as many as it takes.
ITERATIONS = 1000
TOLERANCE = 1e-3
# Of a plan that the structure is compared by.
TOLERANCE_BETWEEN = 1e-2


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
        if isinstance(chosen.words, str):
            raise ValueError(f'words is a list of names, such as [{chosen.words}], got a string')
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
        anchors (Anchors, optional): Known pairs. They raise S for pairs like them
            (:func:`urbancross_mm.functional.anchors.anchor_factors`). Defaults to None.
        texts (Sequence[str]): The texts themselves, for ``words``. Defaults to ().
        seed (int): Of the choice of ``max_items`` and of the groups. Defaults to 0.

    Returns:
        PairingPlan: Of all items.

    Raises:
        ValueError: If a modality is empty, eps or ``max_items`` is not positive, ``matched`` is
            not in (0, 1], or no text holds one of the words.

    Reference:
        Vayer et al., Fused Gromov-Wasserstein (https://arxiv.org/abs/1805.09114), entropic, with
        the inner-product loss.
    """
    options = options or PlanOptions()
    if not options.eps > 0:
        raise ValueError(f'eps must be positive, got {options.eps}')
    reference = draw_reference(target, options.max_items, seed)
    units = directions(target, reference)
    scores = smoothed_embeds(target, units, reference, options.neighbors)
    factors = [standardized(scores, reference)]
    count = options.groups or 2 * len(options.words)
    if count:
        names = named_groups(texts, options.words) if options.words else None
        groups = group_factors(
            factors[0], units, reference, count, names, options.eps, options.structure, seed
        )
        factors.append(standardized(groups, reference))
    if anchors is not None and len(anchors.images):
        factors.append(anchor_factors(units, reference, anchors))
    parts = factors
    for _ in range(options.rounds if options.structure else 0):
        scores, found = _solve(parts, reference, options, TOLERANCE_BETWEEN)
        plan = _known(scores, found, reference)
        matched = _matched(units, plan, reference)
        structure = standardized(Pair(units.images @ matched, units.texts), reference)
        parts = [*factors, Pair(options.structure * structure.images, structure.texts)]
    scores, found = _solve(parts, reference, options, TOLERANCE)
    return _extended(scores, found, reference)


def _matched(units: Pair, plan: PairingPlan, reference: Reference) -> Tensor:
    """``F_x^T P F_y``, (C, C'), by the plan of the reference: what goes with what."""
    images, texts = units
    total = images.new_zeros(images.shape[1], texts.shape[1])
    mass = reference.text_mass.to(texts)
    share = 1 / len(reference.images)
    known_images, known_texts = images[reference.images], texts[reference.texts]
    columns = torch.arange(len(known_texts), device=texts.device)
    for rows in torch.arange(len(known_images), device=images.device).split(CHUNK):
        pairs = plan.density(rows, columns) * mass * share
        total += known_images[rows].t() @ (pairs.to(images) @ known_texts)
    return total


def _solve(
    factors: Sequence[Pair], reference: Reference, options: PlanOptions, tolerance: float
) -> tuple[Pair, Potentials]:
    """Factors of all scores by temperature, and the potentials of the reference."""
    images = torch.cat([pair.images for pair in factors], dim=1) / options.eps
    texts = torch.cat([pair.texts for pair in factors], dim=1)
    found = transport.potentials(
        images[reference.images] @ texts[reference.texts].t(),
        1.0,
        ITERATIONS,
        None,
        reference.text_mass,
        options.matched,
        tolerance,
    )
    return Pair(images, texts), found


def _known(scores: Pair, found: Potentials, reference: Reference) -> PairingPlan:
    """The plan of the reference alone."""
    known = Pair(scores.images[reference.images], scores.texts[reference.texts])
    return _plan(known, found)


def _extended(scores: Pair, found: Potentials, reference: Reference) -> PairingPlan:
    """The plan of all items."""
    known_images, known_texts = scores.images[reference.images], scores.texts[reference.texts]
    images, texts = (
        torch.cat(
            [
                transport.extend(part @ others.t(), known, spare, 1.0, mass)
                for part in items.split(CHUNK)
            ]
        )
        for items, others, known, spare, mass in (
            (scores.images, known_texts, found.columns, found.spare_column, reference.text_mass),
            (scores.texts, known_images, found.rows, found.spare_row, reference.image_mass),
        )
    )
    return _plan(scores, found._replace(rows=images, columns=texts))


def _plan(scores: Pair, found: Potentials) -> PairingPlan:
    """What the spare row and column leave is what an item gets."""
    return PairingPlan(
        scores.images,
        scores.texts,
        found.rows.to(scores.images),
        found.columns.to(scores.texts),
        -(found.rows + found.spare_column).expm1().to(scores.images),
        -(found.columns + found.spare_row).expm1().to(scores.texts),
    )
