"""A wrong name in a config ends in one sentence."""

import pytest
from mmengine.registry import DefaultScope
from torch import nn

from urbancross_mm.models import build_part
from urbancross_mm.registry import MODELS, SCOPE


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


@pytest.mark.parametrize('package', ['mmseg', 'mmpretrain'])
@pytest.mark.parametrize('role', ['backbone', 'neck', 'pyramid.decode_head', 'loss'])
@pytest.mark.parametrize('scope', [None, SCOPE])
def test_a_foreign_part_is_built_under_its_own_scope(
    package: str, role: str, scope: str | None
) -> None:
    """So that what it builds by bare names, at any time in ``__init__``, is of its package."""
    MODELS.get(f'{package}.ResNet')
    registry = MODELS.root.children[package]

    class Recorder(nn.Module):
        def __init__(self, inner: dict) -> None:
            super().__init__()
            self.scope = DefaultScope.get_current_instance().scope_name
            self.inner = MODELS.root.build(inner)

    registry.register_module(module=Recorder)
    try:
        with DefaultScope.overwrite_default_scope(scope):
            part = build_part(
                dict(type=f'{package}.Recorder', inner=dict(type='CrossEntropyLoss')), role
            )
            after = DefaultScope.get_current_instance()
    finally:
        del registry.module_dict['Recorder']
    assert part.scope == package
    assert type(part.inner).__module__.startswith(f'{package}.models.losses')
    assert (after and after.scope_name) == scope
