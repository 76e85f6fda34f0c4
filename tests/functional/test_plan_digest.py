"""What a digest sees, and what it does not."""

import torch
from torch import Tensor

from tests.functional.test_pairing_plan import random_target, rearranged
from urbancross_mm.functional.pairing_plan import Target
from urbancross_mm.functional.plan_digest import change, plan_digest

KEYS, IDS = torch.arange(40), torch.arange(50)
LABELS = {'a': ['x', 'y'], 'b': ['y']}
ITEMS = 'images, texts or labels of the target'
WEIGHTS = 'the embeddings by the starting checkpoint'


def digest(
    target: Target | None = None,
    keys: Tensor = KEYS,
    ids: Tensor = IDS,
    labels: dict[str, list[str]] = LABELS,
) -> Tensor:
    return plan_digest(target or random_target(), keys, ids, labels)


def test_the_same_things_in_another_order_are_the_same() -> None:
    target = random_target()
    rows, columns = torch.randperm(40), torch.randperm(50)
    shuffled = rearranged(target, rows, columns)
    assert digest().any() and digest().dtype == torch.int64
    labels = {'b': ['y'], 'a': ['y', 'x']}
    other = digest(shuffled, KEYS[rows], IDS[columns], labels)
    assert change(digest(), other) == ''


def test_the_noise_of_another_device_is_no_change() -> None:
    for seed in range(20):
        target = random_target(seed=seed)
        moved = [part + 1e-5 * torch.randn_like(part) for part in target[:4]]
        assert change(digest(target), digest(Target(*moved, target.text_mass))) == ''


def test_each_thing_that_a_plan_is_made_of_counts() -> None:
    target, other = random_target(), random_target(seed=1)
    mass = target.text_mass.clone()
    mass[3] += 1
    for later in (
        digest(keys=KEYS + 1),
        digest(ids=IDS * 2),
        digest(labels={'a': ['x']}),
        digest(target._replace(text_mass=mass)),
    ):
        assert change(digest(), later) == ITEMS
    for name in target._fields[:4]:
        later = digest(target._replace(**{name: getattr(other, name)}))
        assert change(digest(), later) == WEIGHTS, name


def test_none_before_is_no_change() -> None:
    assert change(torch.zeros(5, dtype=torch.int64), digest()) == ''
