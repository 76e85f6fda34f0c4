"""The stage that drops images with low scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from urbancross_mm.curation.core.records import DROPPED, ImageRecord, Outcome
from urbancross_mm.curation.core.stage import CollectionStage, Workspace
from urbancross_mm.registry import CURATION


@CURATION.register_module()
class FilterStage(CollectionStage):
    """Keeps the images that score best, or all that reach a threshold.

    Args:
        keep (float, optional): Share of images to keep, in (0, 1]. Defaults to None: 0.3, unless
            ``threshold`` is given.
        threshold (float, optional): Lowest score to keep, instead of a share. Defaults to None.

    Raises:
        ValueError: If both are given, or the share is out of range.
    """

    name = 'filter'
    reads = ('score',)

    def __init__(self, keep: float | None = None, threshold: float | None = None) -> None:
        if keep is not None and threshold is not None:
            raise ValueError(f'give keep or threshold, not both; got {keep} and {threshold}')
        if keep is None and threshold is None:
            keep = 0.3
        if keep is not None and not 0 < keep <= 1:
            raise ValueError(f'keep must lie in (0, 1], got {keep}')
        self.keep, self.threshold = keep, threshold
        self._remarks: list[str] = []

    def settings(self, workspace: Workspace) -> dict[str, Any]:
        """The bound."""
        bound = dict(threshold=self.threshold) if self.keep is None else dict(keep=self.keep)
        return dict(by='score', **bound)

    def decide(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[Outcome]:
        """Drop images with low scores.

        Raises:
            ValueError: If no earlier stage has written the field.
        """
        scores = [self._score(image) for image in images]
        if self.keep is None:
            assert self.threshold is not None
            bound, rule = self.threshold, 'threshold'
            kept = [score >= bound for score in scores]  # nan is never kept
        else:
            kept, bound = top_share(scores, [image.name for image in images], self.keep)
            rule = f'lowest of the best {100 * self.keep:g} %'
        self._remarks = [] if math.isnan(bound) else [f'score of at least {bound:.6g}, the {rule}']
        return [
            Outcome() if good else Outcome(status=DROPPED, reason=self._reason(score, bound, rule))
            for good, score in zip(kept, scores)
        ]

    def summary(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[str]:
        """The lowest score that is kept."""
        return self._remarks

    def _score(self, image: ImageRecord) -> float:
        if 'score' not in image.fields:
            raise ValueError(
                f"{image.name} has no field 'score': a stage before FilterStage "
                'must write it, such as ScoreStage'
            )
        score = image.fields['score']
        return math.nan if score is None else float(score)

    def _reason(self, score: float, bound: float, rule: str) -> str:
        if math.isnan(score):
            return 'score is not a number'
        relation = 'equals' if score == bound else 'is below'
        behind = ', the name comes later' if score == bound else ''
        return f'score {score:.6g} {relation} {bound:.6g}, the {rule}{behind}'


def top_share(
    scores: Sequence[float], names: Sequence[str], keep: float
) -> tuple[list[bool], float]:
    """Which images are in the best share, and the lowest score that is; nan if there is none.

    A score that is nan does not count. Equal scores are taken in the order of their names.
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
