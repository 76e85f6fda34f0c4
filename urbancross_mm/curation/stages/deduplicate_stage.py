"""The stage that drops images with nearly the same captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from urbancross_mm.curation.captions.refine import words_of
from urbancross_mm.curation.core.records import DROPPED, ImageRecord, Outcome
from urbancross_mm.curation.core.stage import CollectionStage, Workspace
from urbancross_mm.registry import CURATION
from urbancross_mm.utils.optional import import_optional

# Letters per shingle, and permutations per sketch.
SIZE, NUM_PERM = 5, 128
# Sketches are estimates. A lower threshold misses fewer pairs; the exact comparison drops the rest.
SLACK = 0.8


@CURATION.register_module()
class DeduplicateStage(CollectionStage):
    """Drops images whose captions are near duplicates of those of other images.

    Images are compared in the order of their names. The captions of an image count as one text.

    Args:
        threshold (float): Texts are near duplicates if the Jaccard index of their shingles (runs of
            five letters) is at least this. Defaults to 0.8.
        max_repeats (int): Number of near duplicates to keep. Defaults to 1.

    Reference:
        MinHash (Broder, 1997), by datasketch.

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

    def check(self, workspace: Workspace) -> None:
        """Look for datasketch."""
        _datasketch()

    def settings(self, workspace: Workspace) -> dict[str, Any]:
        """Both options."""
        return dict(threshold=self.threshold, max_repeats=self.max_repeats)

    def decide(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[Outcome]:
        """Drop the images that repeat earlier ones."""
        order = sorted(range(len(images)), key=lambda i: images[i].name)
        texts = ['\n'.join(images[i].fields.get('captions') or ()) for i in order]
        outcomes = [Outcome()] * len(images)
        for i, first in zip(order, repeats(texts, self.threshold, self.max_repeats)):
            if first is not None:
                name = images[order[first]].name
                outcomes[i] = Outcome(status=DROPPED, reason=f'nearly the caption of {name}')
        return outcomes


def shingles(text: str) -> frozenset[str]:
    """Runs of five letters, without case and punctuation; of a shorter text, the text itself."""
    plain = ' '.join(words_of(text))
    return frozenset(plain[i : i + SIZE] for i in range(max(1, len(plain) - SIZE + 1)))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Size of the intersection divided by that of the union."""
    return len(a & b) / len(a | b)


def repeats(texts: Sequence[str], threshold: float, max_repeats: int) -> list[int | None]:
    """For each text to drop, the index of the first kept text that it repeats; None for the others.

    A text is compared only with kept ones. So a long chain of texts, each a little different from
    the one before, is not a single group. Candidates come from MinHash sketches and are then
    compared exactly.
    """
    index = _datasketch().MinHashLSH(threshold=SLACK * threshold, num_perm=NUM_PERM)
    encoded = ([shingle.encode() for shingle in sorted(shingles(text))] for text in texts)
    sketches = _datasketch().MinHash.generator(encoded, num_perm=NUM_PERM, seed=1)
    first: list[int | None] = []
    for number, sketch in enumerate(sketches):
        own = shingles(texts[number])  # made again: the sets of all texts would fill the memory
        near = [
            other
            for other in sorted(index.query(sketch))
            if jaccard(own, shingles(texts[other])) >= threshold
        ]
        first.append(near[0] if len(near) >= max_repeats else None)
        if first[-1] is None:
            index.insert(number, sketch, check_duplication=False)
    return first


def _datasketch() -> Any:
    return import_optional('datasketch', 'DeduplicateStage', 'datasketch')
