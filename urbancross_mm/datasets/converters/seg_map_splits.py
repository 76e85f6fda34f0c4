"""Splits of images that have masks but no captions: by folder, by groups, or at random."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from urbancross_mm.datasets.splits import random_split

SPLITS = ('train', 'val', 'test')


@dataclass(kw_only=True)
class SplitRule:
    """How images are divided. Without any rule, the first folder of a name is its split.

    Attributes:
        val (float | None): Share of the images that is drawn for val.
        test (float | None): Share of the images that is drawn for test.
        group (str | None): Regular expression, searched in the name of an image; what it matches
            (its first group, if it has one) is the group of the image, such as the scene.
        val_groups (tuple[str, ...]): Groups that are val as a whole.
        test_groups (tuple[str, ...]): Groups that are test as a whole.
        seed (int): Of the draw.
    """

    val: float | None = None
    test: float | None = None
    group: str | None = None
    val_groups: tuple[str, ...] = ()
    test_groups: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ('val', 'test'):
            share, groups = getattr(self, name), getattr(self, f'{name}_groups')
            if share is not None and not 0 < share < 1:
                raise ValueError(f'--{name} is a share between 0 and 1, got {share}')
            if share is not None and groups:
                raise ValueError(f'give --{name} or --{name}-groups, not both')
            if groups and self.group is None:
                raise ValueError(f'--{name}-groups needs --group, which finds the group in a name')


def divide(names: Sequence[str], rule: SplitRule) -> dict[str, list[str]]:
    """Divide images into splits.

    Groups go first; shares are drawn of the images that are left, and may divide a group.

    Args:
        names (Sequence[str]): Paths of the images.
        rule (SplitRule): See there.

    Returns:
        dict[str, list[str]]: Names of each split that has any.

    Raises:
        ValueError: If there is no rule and the folders are no splits, an image has no group, or a
            group no image.
    """
    shares = {name: share for name in ('val', 'test') if (share := getattr(rule, name))}
    chosen = {name: set(getattr(rule, f'{name}_groups')) for name in ('val', 'test')}
    if not shares and not any(chosen.values()):
        return _by_folder(names)
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    rest = list(names)
    if any(chosen.values()):
        groups = _groups(names, rule.group or '')
        _check_groups(chosen, groups)
        for split, wanted in chosen.items():
            splits[split] = [name for group in sorted(wanted) for name in groups[group]]
        taken = {name for split in splits.values() for name in split}
        rest = [name for name in names if name not in taken]
    drawn = random_split(rest, shares, 'train', rule.seed) if shares else dict(train=sorted(rest))
    for split, found in drawn.items():
        splits[split] += found
    return {split: members for split, members in splits.items() if members}


def _by_folder(names: Sequence[str]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = defaultdict(list)
    for name in names:
        splits[name.partition('/')[0]].append(name)
    if strange := sorted(set(splits) - set(SPLITS)):
        raise ValueError(
            f'the images do not lie in folders {", ".join(SPLITS)} (first other: {strange[0]!r}): '
            'say how to split with --val, --test, --val-groups or --test-groups'
        )
    return dict(splits)


def _groups(names: Sequence[str], pattern: str) -> dict[str, list[str]]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f'--group {pattern!r} is no regular expression: {error}') from error
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        match = expression.search(name)
        if match is None:
            raise ValueError(f'--group {pattern!r} finds nothing in the name of image {name}')
        groups[match.group(1 if expression.groups else 0)].append(name)
    return groups


def _check_groups(chosen: dict[str, set[str]], groups: dict[str, list[str]]) -> None:
    there = ', '.join(sorted(groups)[:10])
    for split, wanted in chosen.items():
        if missing := sorted(wanted - set(groups)):
            raise ValueError(f'--{split}-groups: no image is of {missing[0]!r}; groups are {there}')
    if both := sorted(chosen['val'] & chosen['test']):
        raise ValueError(f'{both[0]!r} cannot be both val and test')
