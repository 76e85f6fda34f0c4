"""The stage that thins out images with nearly the same captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from urbancross_mm.curation.captions.near_duplicates import repeats, require_datasketch
from urbancross_mm.curation.core.records import DROPPED, ImageRecord, Outcome
from urbancross_mm.curation.core.stage import CollectionStage, Workplace
from urbancross_mm.registry import CURATION


@CURATION.register_module()
class DeduplicateStage(CollectionStage):
    """Keeps at most so many images whose captions are nearly the same.

    Images come in the order of their names, so the outcome does not depend on that of the
    files. The captions of an image are compared together.

    Args:
        threshold (float): Captions with at least this Jaccard index of their runs of five letters
            are near duplicates. Defaults to 0.8.
        max_repeats (int): Images of a group that stay. Defaults to 1.

    Raises:
        ValueError: If an option is out of range.
    """

    name = 'deduplicate'
    reads = ('captions',)

    def __init__(self, threshold: float = 0.8, max_repeats: int = 1) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f'threshold must lie in (0, 1], got {threshold}')
        if max_repeats < 1:
            raise ValueError(f'max_repeats must be at least 1, got {max_repeats}')
        self.threshold, self.max_repeats = threshold, max_repeats

    def check(self, place: Workplace) -> None:
        """Look for datasketch.

        Raises:
            ImportError: If it is not installed.
        """
        require_datasketch()

    def settings(self, place: Workplace) -> dict[str, Any]:
        """The bounds."""
        return dict(threshold=self.threshold, max_repeats=self.max_repeats)

    def decide(self, images: Sequence[ImageRecord], place: Workplace) -> list[Outcome]:
        """Drop what repeats the images before it."""
        order = sorted(range(len(images)), key=lambda i: images[i].name)
        texts = ['\n'.join(images[i].fields.get('captions') or ()) for i in order]
        outcomes = [Outcome()] * len(images)
        found = repeats(texts, self.threshold, self.max_repeats)
        for place_in_order, first in enumerate(found):
            if first is not None:
                name = images[order[first]].name
                outcomes[order[place_in_order]] = Outcome(
                    status=DROPPED, reason=f'nearly the caption of {name}'
                )
        return outcomes
