"""A wrong name in a config ends in one sentence."""

import pytest
from torch import nn

from urbancross_mm.models import build_part


def test_module_passes_through() -> None:
    module = nn.Identity()
    assert build_part(module, 'neck') is module


@pytest.mark.parametrize(
    'cfg, words',
    [
        (dict(type='GRUTextEncodr'), ("unknown text encoder 'GRUTextEncodr'", 'GRUTextEncoder')),
        (dict(type='ResNet'), ("unknown text encoder 'ResNet'", 'mmpretrain.ResNet')),
        (dict(type='mmpretrain.ResNt'), ("registry of 'mmpretrain'", 'mmpretrain.ResNet')),
        (dict(type='mmnothing.ResNet'), ("'mmnothing'", 'installed')),
        (dict(depth=18), ("no 'type'", 'depth')),
    ],
)
def test_unknown_names(cfg: dict, words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError) as caught:
        build_part(cfg, 'text encoder')
    message = str(caught.value)
    assert '\n' not in message and all(word in message for word in words)


def test_not_a_config() -> None:
    with pytest.raises(TypeError, match='ResNet'):
        build_part('ResNet', 'backbone')
