"""The stage that drops images with low scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from urbancross_mm.curation.core.records import DROPPED, ImageRecord, Outcome
from urbancross_mm.curation.core.stage import CollectionStage, Workplace
from urbancross_mm.curation.stages.filters import at_least, top_share
from urbancross_mm.registry import CURATION


@CURATION.register_module()
class FilterStage(CollectionStage):
    """Keeps the images that score best, or all that reach a threshold.

    Args:
        keep (float, optional): The part that stays, in (0, 1]. Defaults to None: 0.3, unless
            there is a threshold.
        threshold (float, optional): Instead, the lowest score that stays. Defaults to None.
        by (str): The field with the score. Defaults to 'score'.

    Raises:
        ValueError: If both are given, or the part is none.
    """

    name = 'filter'

    def __init__(
        self, keep: float | None = None, threshold: float | None = None, by: str = 'score'
    ) -> None:
        if keep is not None and threshold is not None:
            raise ValueError(f'give keep or threshold, not both; got {keep} and {threshold}')
        if keep is None and threshold is None:
            keep = 0.3
        if keep is not None and not 0 < keep <= 1:
            raise ValueError(f'keep must lie in (0, 1], got {keep}')
        self.keep, self.threshold, self.by = keep, threshold, by
        self.reads = (by,)
        self._remarks: list[str] = []

    def settings(self, place: Workplace) -> dict[str, Any]:
        """The bound, and what it is a bound of."""
        bound = dict(threshold=self.threshold) if self.keep is None else dict(keep=self.keep)
        return dict(by=self.by, **bound)

    def decide(self, images: Sequence[ImageRecord], place: Workplace) -> list[Outcome]:
        """Drop what scores too low.

        Raises:
            ValueError: If no stage before has written the field.
        """
        scores = [self._score(image) for image in images]
        if self.keep is None:
            bound = self.threshold
            kept, rule = at_least(scores, bound), 'threshold'
        else:
            kept, bound = top_share(scores, [image.name for image in images], self.keep)
            rule = f'lowest of the best {100 * self.keep:g} %'
        self._remarks = (
            [] if math.isnan(bound) else [f'{self.by} of at least {bound:.6g}, the {rule}']
        )
        return [
            Outcome() if good else Outcome(status=DROPPED, reason=self._reason(score, bound, rule))
            for good, score in zip(kept, scores)
        ]

    def summary(self, images: Sequence[ImageRecord], place: Workplace) -> list[str]:
        """The bound."""
        return self._remarks

    def _score(self, image: ImageRecord) -> float:
        if self.by not in image.fields:
            raise ValueError(
                f'{image.name} has no field {self.by!r}: a stage before FilterStage '
                'must write it, such as ScoreStage'
            )
        score = image.fields[self.by]
        return math.nan if score is None else float(score)

    def _reason(self, score: float, bound: float, rule: str) -> str:
        if math.isnan(score):
            return f'{self.by} is not a number'
        relation = 'equals' if score == bound else 'is below'
        behind = ', the name comes later' if score == bound else ''
        return f'{self.by} {score:.6g} {relation} {bound:.6g}, the {rule}{behind}'
