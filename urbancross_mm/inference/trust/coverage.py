"""Which images no caption takes, and which captions no image takes."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from urbancross_mm.inference.trust.measures import TAKEN, group_table
from urbancross_mm.inference.trust.target_view import TargetView, sides, units

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
    """Groups of both sides, and rows of the items that the partial plan leaves, worst first."""

    images: list[Group]
    texts: list[Group]
    images_left: list[int]
    texts_left: list[int]


def coverage(found: TargetView) -> Coverage:
    """Look up what a partial plan leaves.

    Args:
        found (TargetView): Plans and groups.

    Returns:
        Coverage: By group and by item.
    """
    table = group_table(found)
    partial = found.partial
    images, texts = (units(feats, mass) for feats, mass in sides(found.target))
    return Coverage(
        _groups(images, found.image_groups, partial.image_mass, table),
        _groups(texts, found.text_groups, partial.text_mass, table.t()),
        _left(partial.image_mass),
        _left(partial.text_mass),
    )


def _left(mass: Tensor) -> list[int]:
    """Rows below the limit, the least first."""
    order = mass.argsort(stable=True)
    return order[mass[order] < TAKEN].tolist()


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
