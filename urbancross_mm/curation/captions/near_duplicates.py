"""Finding texts that say nearly the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from urbancross_mm.curation.captions.refine import words_of
from urbancross_mm.utils.optional import import_optional

NUM_PERM = 128
# A pair that the sketches miss stays, one too many is compared exactly: so they look for less.
_SLACK = 0.8


def require_datasketch() -> None:
    """Look for the library that makes the sketches.

    Raises:
        ImportError: If it is not installed.
    """
    import_optional('datasketch', 'DeduplicateStage', 'datasketch')


def shingles(text: str, size: int = 5) -> frozenset[str]:
    """Runs of letters of a text, case and punctuation apart.

    Args:
        text (str): In any script.
        size (int): Letters a run. Defaults to 5.

    Returns:
        frozenset[str]: Of a shorter text, the text itself.
    """
    plain = ' '.join(words_of(text))
    return frozenset(plain[i : i + size] for i in range(max(1, len(plain) - size + 1)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of what two sets have in common; 1 for equal ones."""
    return len(one & other) / len(one | other)


def repeats(
    texts: Sequence[str], threshold: float = 0.8, max_repeats: int = 1, size: int = 5
) -> list[int | None]:
    """Find the texts that repeat what enough texts before them have said.

    A text is compared with those that stay, not with those that go: a long chain of texts, each
    a little different from the last, is no one group. Candidates come from MinHash sketches and
    are then compared exactly.

    Args:
        texts (Sequence[str]): The first ones stay.
        threshold (float): Texts with at least this Jaccard index of their shingles are near
            duplicates. Defaults to 0.8.
        max_repeats (int): How many near duplicates of a text stay, itself included.
            Defaults to 1.
        size (int): Letters a shingle. Defaults to 5.

    Returns:
        list[int | None]: For a text that goes the place of the first text that it repeats; None
        for one that stays.

    Raises:
        ImportError: If datasketch is not installed.

    Reference:
        MinHash (Broder, 1997); the sketches are those of datasketch.
    """
    require_datasketch()
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=_SLACK * threshold, num_perm=NUM_PERM)
    found: list[int | None] = []
    for place, (text, sketch) in enumerate(zip(texts, _sketches(texts, size))):
        own = shingles(text, size)
        near = [
            other
            for other in sorted(index.query(sketch))
            if jaccard(own, shingles(texts[other], size)) >= threshold
        ]
        found.append(near[0] if len(near) >= max_repeats else None)
        if found[-1] is None:
            index.insert(place, sketch, check_duplication=False)
    return found


def _sketches(texts: Sequence[str], size: int) -> Iterable:
    from datasketch import MinHash

    return MinHash.generator(
        ([one.encode('utf-8') for one in sorted(shingles(text, size))] for text in texts),
        num_perm=NUM_PERM,
        seed=1,
    )
