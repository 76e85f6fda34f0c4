"""Which images no caption takes, and which captions no image takes."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from urbancross_mm.functional.pairing_plan import PlanOptions, Target, make_plan
from urbancross_mm.inference.trust.measures import TAKEN, group_table
from urbancross_mm.inference.trust.target_view import MATCHED, TargetView, sides, units

# Items that a plan of a large target is solved on.
SOLVED = 2000
# Examples of a group.
EXAMPLES = 3


class Group(NamedTuple):
    """A group of images or of texts.

    - ``size``: items; ``mass``: what the partial plan gives them, by their share.
    - ``partner``: the group of the other side that the whole plan gives most, and ``share``: how
      much.
    - ``examples``: rows nearest to the center.
    """

    size: int
    mass: float
    partner: int
    share: float
    examples: list[int]


class Coverage(NamedTuple):
    """Groups of both sides."""

    images: list[Group]
    texts: list[Group]


class Left(NamedTuple):
    """What a partial plan leaves: rows, worst first, and what it gives each by its share."""

    rows: list[int]
    mass: list[float]


def coverage(found: TargetView) -> Coverage:
    """Look up which groups a partial plan leaves.

    Args:
        found (TargetView): Plans and groups.

    Returns:
        Coverage: By group.
    """
    table = group_table(found)
    partial = found.partial
    images, texts = (units(feats, mass) for feats, mass in sides(found.target))
    return Coverage(
        _groups(images, found.image_groups, partial.image_mass, table),
        _groups(texts, found.text_groups, partial.text_mass, table.t()),
    )


def left(target: Target) -> tuple[Left, Left]:
    """Look up which items a partial plan leaves.

    Args:
        target (Target): All items, by the source model.

    Returns:
        tuple[Left, Left]: Of the images and of the texts.
    """
    plan = make_plan(target, PlanOptions(matched=MATCHED, max_items=SOLVED))
    found = []
    for mass in (plan.image_mass, plan.text_mass):
        order = mass.argsort(stable=True)
        rows = order[mass[order] < TAKEN]
        found.append(Left(rows.tolist(), mass[rows].tolist()))
    return found[0], found[1]


def _groups(rows: Tensor, groups: Tensor, mass: Tensor, table: Tensor) -> list[Group]:
    found = []
    for number, row in enumerate(table):
        members = (groups == number).nonzero()[:, 0]
        center = rows[members].mean(dim=0)
        nearest = (rows[members] @ center).argsort(descending=True, stable=True)[:EXAMPLES]
        found.append(
            Group(
                len(members),
                float(mass[members].mean()),
                int(row.argmax()),
                float(row.max() / row.sum().clamp(min=1e-30)),
                members[nearest].tolist(),
            )
        )
    return found
