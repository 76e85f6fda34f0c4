"""Optimizer wrappers and what constructs them."""

from __future__ import annotations

import pytest
from torch import nn

from urbancross_mm.engine import AdversarialOptimWrapperConstructor

ADAM = dict(optimizer=dict(type='Adam', lr=0.1))


def model() -> nn.Module:
    return nn.ModuleDict(
        {name: nn.Linear(2, 2, bias=False) for name in ('image', 'shared', 'discriminator')}
    )


def test_each_weight_has_one_optimizer() -> None:
    parts = model()
    built = AdversarialOptimWrapperConstructor(
        dict(encoders=ADAM, discriminator=dict(optimizer=dict(type='SGD', lr=0.5))),
        dict(custom_keys=dict(image=dict(lr_mult=0.3))),
    )(parts)
    groups = {key: wrapper.optimizer.param_groups for key, wrapper in built.items()}
    assert {group['params'][0].data_ptr() for group in groups['discriminator']} == {
        parts['discriminator'].weight.data_ptr()
    }
    rates = {group['params'][0].data_ptr(): group['lr'] for group in groups['encoders']}
    assert rates == pytest.approx(
        {parts['image'].weight.data_ptr(): 0.03, parts['shared'].weight.data_ptr(): 0.1}
    )


def test_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"\['optimizer'\]"):
        AdversarialOptimWrapperConstructor(ADAM)
    constructor = AdversarialOptimWrapperConstructor(dict(encoders=ADAM, discriminator=ADAM))
    with pytest.raises(ValueError, match="Linear has no part 'discriminator'"):
        constructor(nn.Linear(2, 2))
