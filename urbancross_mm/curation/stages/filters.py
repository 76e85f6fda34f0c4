"""Which scores are good enough: pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence


def top_share(
    scores: Sequence[float], names: Sequence[str], keep: float
) -> tuple[list[bool], float]:
    """Keep the best part.

    Args:
        scores (Sequence[float]): Higher is better; what is not a number is never kept, and counts
            as nothing to keep a part of.
        names (Sequence[str]): Equal scores are taken in the order of their names.
        keep (float): The part, in (0, 1]; at least one is kept.

    Returns:
        tuple[list[bool], float]: Who is kept, and the lowest score that is; nan if there is none.
    """
    order = sorted(
        (i for i, score in enumerate(scores) if not math.isnan(score)),
        key=lambda i: (-scores[i], names[i]),
    )
    # 0.1 of 30 is 3.0000000000000004 in floating point, and 3.
    number = math.ceil(round(keep * len(order), 9))
    best = set(order[:number])
    bound = scores[order[number - 1]] if number else math.nan
    return [i in best for i in range(len(scores))], bound


def at_least(scores: Sequence[float], threshold: float) -> list[bool]:
    """Keep what reaches a threshold; what is not a number does not."""
    return [score >= threshold for score in scores]
