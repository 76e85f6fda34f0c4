"""Seeded splits."""

from __future__ import annotations

import pytest

from urbancross_mm.datasets.splits import (
    country_split,
    random_split,
    split_hash,
    stratified_split,
)

NAMES = [f'{n}.jpg' for n in range(100)]


def test_random_split_has_the_sizes_and_loses_nobody():
    parts = random_split(NAMES, dict(val=0.25, test=0.1), 'train', 0)

    assert {split: len(names) for split, names in parts.items()} == dict(val=25, test=10, train=65)
    assert sorted(name for names in parts.values() for name in names) == sorted(NAMES)


def test_the_order_of_the_names_does_not_matter_but_the_seed_does():
    parts = random_split(NAMES, dict(val=0.2), 'train', 3)

    assert random_split(NAMES[::-1], dict(val=0.2), 'train', 3) == parts
    assert random_split(NAMES, dict(val=0.2), 'train', 4) != parts


def test_nothing_left_is_refused():
    with pytest.raises(ValueError, match='2 images are too few'):
        random_split(NAMES[:2], dict(val=0.5, test=0.5), 'train', 0)


def test_stratified_split_divides_every_class_evenly():
    labels = {
        f'{label}{n}': label for label, size in dict(a=60, b=20, c=5).items() for n in range(size)
    }
    parts = stratified_split(labels, dict(val=0.2), 'train', 0)

    assert {label: sum(labels[name] == label for name in parts['val']) for label in 'abc'} == dict(
        a=12, b=4, c=1
    )
    assert sorted(parts['val'] + parts['train']) == sorted(labels)


def test_a_new_class_leaves_the_others_as_they_were():
    labels = {f'{label}{n}': label for label in 'bc' for n in range(20)}
    more = {**labels, **{f'a{n}': 'a' for n in range(20)}}
    before, after = (stratified_split(item, dict(val=0.2), 'train', 0) for item in (labels, more))

    assert before['val'] == [name for name in after['val'] if labels.get(name)]


def test_a_class_of_one_goes_to_the_rest():
    parts = stratified_split({'lonely': 'x', **dict.fromkeys(NAMES)}, dict(val=0.9), 'train', 0)

    assert 'lonely' in parts['train']


def test_country_split_is_nested():
    parts = {split: set(names) for split, names in country_split(NAMES, 0).items()}

    assert {split: len(names) for split, names in parts.items()} == dict(
        test=20, val=10, train=70, finetune=20, finetune_val=10
    )
    assert parts['finetune'] | parts['finetune_val'] <= parts['train'] | parts['val']


def test_hash_knows_members_and_not_their_order():
    assert split_hash(['a', 'b']) == split_hash(['b', 'a']) != split_hash(['a', 'c'])
