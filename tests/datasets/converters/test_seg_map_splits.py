"""Splits by folder, by whole groups, and at random."""

from __future__ import annotations

from typing import Any

import pytest

from urbancross_mm.datasets.converters.seg_map_splits import SplitRule, divide

NAMES = [f'{scene}_{n:02d}.png' for scene in ('a', 'b', 'c') for n in range(10)]


def test_folders_are_splits() -> None:
    names = ['train/x.png', 'val/x.png', 'train/deep/y.png']
    assert divide(names, SplitRule()) == dict(
        train=['train/x.png', 'train/deep/y.png'], val=['val/x.png']
    )
    with pytest.raises(ValueError, match="first other: 'dev'.*--val"):
        divide([*names, 'dev/x.png'], SplitRule())


def test_shares_are_drawn_with_the_seed() -> None:
    rule = SplitRule(val=0.1, test=0.2)
    splits = divide(NAMES, rule)
    assert {name: len(split) for name, split in splits.items()} == dict(train=21, val=3, test=6)
    assert sorted(name for split in splits.values() for name in split) == NAMES
    assert divide(NAMES[::-1], rule) == splits
    assert divide(NAMES, SplitRule(val=0.1, test=0.2, seed=1)) != splits
    assert set(divide(NAMES, SplitRule(test=0.2))) == {'train', 'test'}


def test_groups_are_held_out_whole() -> None:
    splits = divide(NAMES, SplitRule(group='^[a-z]', test_groups=('b',), val=0.25))
    assert splits['test'] == NAMES[10:20]
    assert len(splits['val']) == 5 and not {n[0] for n in splits['val']} & {'b'}
    whole = divide(NAMES, SplitRule(group='(.)_', test_groups=('a', 'c'), val_groups=('b',)))
    assert {n: len(s) for n, s in whole.items()} == dict(val=10, test=20)


@pytest.mark.parametrize(
    'rule, message',
    [
        (dict(group='[', test_groups=('a',)), 'regular expression'),
        (dict(group='^[ab]', test_groups=('a',)), r'nothing in the name of image c_00\.png'),
        (dict(group='^.', test_groups=('d',)), "'d'; groups are a, b, c"),
        (dict(group='^.', test_groups=('a',), val_groups=('a',)), "'a' cannot be both"),
        (dict(test_groups=('a',)), '--test-groups needs --group'),
        (dict(group='^.', val_groups=('a',), val=0.1), '--val or --val-groups'),
        (dict(val=1.5), '--val is a share.* 1.5'),
    ],
)
def test_wrong_rules(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        divide(NAMES, SplitRule(**rule))
