"""Seeded splits by image."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from urbancross_mm.utils.ids import stable_id

COUNTRY_FRACTIONS = dict(test=0.2, val=0.1)
FINETUNE_FRACTIONS = dict(finetune=0.2, finetune_val=0.1)


def random_split(
    names: Sequence[str], fractions: Mapping[str, float], rest: str, seed: int
) -> dict[str, list[str]]:
    """Divide names at random; the same names and seed give the same split in any order.

    Args:
        names (Sequence[str]): Distinct names.
        fractions (Mapping[str, float]): Part of the whole for each split, in (0, 1).
        rest (str): The split that takes what is left.
        seed (int): Of the shuffle.

    Returns:
        dict[str, list[str]]: Names of each split, sorted.

    Raises:
        ValueError: If the fractions leave nothing to ``rest``.
    """
    sizes = {split: round(part * len(names)) for split, part in fractions.items()}
    if sum(sizes.values()) >= len(names):
        raise ValueError(f'{len(names)} images are too few for the split {dict(fractions)}')
    shuffled = np.random.default_rng(seed).permutation(sorted(names)).tolist()
    splits, start = {}, 0
    for split, size in sizes.items():
        splits[split] = sorted(shuffled[start : start + size])
        start += size
    splits[rest] = sorted(shuffled[start:])
    return splits


def stratified_split(
    labels: Mapping[str, str | None], fractions: Mapping[str, float], rest: str, seed: int
) -> dict[str, list[str]]:
    """Divide names so that every class has its share in every split.

    Args:
        labels (Mapping[str, str | None]): Class of each name; None counts as one class.
        fractions (Mapping[str, float]): Part of each class for each split.
        rest (str): The split that takes what is left.
        seed (int): Of the shuffles.

    Returns:
        dict[str, list[str]]: Names of each split, sorted. A class that is too small to divide
        goes to ``rest``.
    """
    classes = defaultdict(list)
    for name, label in labels.items():
        classes[label or ''].append(name)
    splits: dict[str, list[str]] = {split: [] for split in (*fractions, rest)}
    for label in sorted(classes):
        names = classes[label]
        if sum(round(part * len(names)) for part in fractions.values()) >= len(names):
            splits[rest] += names
            continue
        # Each class has its own seed, so a new class does not change the others.
        own = stable_id(f'{seed}/{label}')
        for split, part in random_split(names, fractions, rest, own).items():
            splits[split] += part
    return {split: sorted(names) for split, names in splits.items()}


def country_split(names: Sequence[str], seed: int) -> dict[str, list[str]]:
    """The nested split of an UrbanCross country.

    20 % test, 10 % val, the rest train; ``finetune`` and ``finetune_val`` (20 % and 10 % of all)
    are drawn from the part that is not test. The published splitter shuffles twice, so a fifth of
    its test images is also fine-tuned on.

    Args:
        names (Sequence[str]): Distinct image names.
        seed (int): Of the shuffles.

    Returns:
        dict[str, list[str]]: ``train, val, test, finetune, finetune_val``.
    """
    splits = random_split(names, COUNTRY_FRACTIONS, 'train', seed)
    seen = splits['train'] + splits['val']
    share = {split: part * len(names) / len(seen) for split, part in FINETUNE_FRACTIONS.items()}
    nested = random_split(seen, share, 'unused', seed + 1)
    return {**splits, **{split: nested[split] for split in FINETUNE_FRACTIONS}}


def with_duplicates(
    splits: Mapping[str, Sequence[str]], duplicates: Mapping[str, str]
) -> dict[str, list[str]]:
    """Put each duplicate of an image into the split of that image.

    Args:
        splits (Mapping): Drawn from the names that are no duplicate.
        duplicates (Mapping[str, str]): From each duplicate to the name whose split it joins.

    Returns:
        dict[str, list[str]]: Names of each split, sorted.
    """
    followers = defaultdict(list)
    for name, first in duplicates.items():
        followers[first].append(name)
    return {
        split: sorted([*names, *(other for name in names for other in followers[name])])
        for split, names in splits.items()
    }


def split_hash(names: Sequence[str]) -> str:
    """Hash of a split, whatever its order.

    Args:
        names (Sequence[str]): Names.

    Returns:
        str: ``sha256:<hex>``.
    """
    return 'sha256:' + hashlib.sha256('\n'.join(sorted(names)).encode()).hexdigest()
