"""Options of a pairing plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


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
    - ``max_items``: images, and texts, that the plan is solved on; it extends to the others. Known
      pairs are always among them, even if they are more.
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
