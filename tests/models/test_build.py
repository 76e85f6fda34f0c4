"""A wrong name in a config ends in one sentence."""

from pathlib import Path

import pytest
from mmengine.registry import DefaultScope
from torch import nn

from tests.models.encoders.tiny_transformers import FAMILIES
from urbancross_mm.datasets import HuggingFaceTokenizer
from urbancross_mm.models import (
    GRUTextEncoder,
    HuggingFaceTextEncoder,
    OpenCLIPTextEncoder,
    build_part,
)
from urbancross_mm.models.build import check_tokenizer
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


def scope_name() -> str | None:
    current = DefaultScope.get_current_instance()
    return current and current.scope_name


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
            self.scope = scope_name()
            self.inner = MODELS.root.build(inner)

    registry.register_module(module=Recorder)
    try:
        with DefaultScope.overwrite_default_scope(scope):
            before = scope_name()
            part = build_part(
                dict(type=f'{package}.Recorder', inner=dict(type='CrossEntropyLoss')), role
            )
            after = scope_name()
    finally:
        del registry.module_dict['Recorder']
    assert part.scope == package
    assert type(part.inner).__module__.startswith(f'{package}.models.losses')
    assert after == before


class Tokenizer:
    """What the check reads of one."""

    def __init__(self, vocab_size: int, pad_id: int, longest: int) -> None:
        self.vocab_size, self.pad_id, self.longest = vocab_size, pad_id, longest


@pytest.mark.parametrize(
    'change, words',
    [
        ({}, ()),
        (dict(longest=25), ('25', '24')),
        (dict(vocab_size=30), ('30', '14')),
        (dict(vocab_size=13), ('13', '14')),
        (dict(pad_id=2), ('pads', '2')),
        (dict(pad_id=2, vocab_size=30, longest=25), ('30', 'pads', '25')),
    ],
)
def test_a_tokenizer_of_another_encoder(
    change: dict[str, int], words: tuple[str, ...], tmp_path: Path
) -> None:
    encoder = HuggingFaceTextEncoder(FAMILIES['bert'].save(tmp_path))
    tokenizer = Tokenizer(**{**dict(vocab_size=14, pad_id=0, longest=24), **change})
    if not words:
        check_tokenizer(encoder, tokenizer)
        return
    with pytest.raises(ValueError) as caught:
        check_tokenizer(encoder, tokenizer)
    message = str(caught.value)
    assert all(word in message for word in (*words, 'HuggingFaceTextEncoder', 'TokenizeText'))
    assert '\n' not in message


@pytest.mark.parametrize('name', list(FAMILIES))
def test_every_family_takes_its_own_tokenizer(name: str, tmp_path: Path) -> None:
    folder = FAMILIES[name].save(tmp_path)
    check_tokenizer(HuggingFaceTextEncoder(folder), HuggingFaceTokenizer(folder, max_length=20))


def test_tokenizers_of_small_and_of_clip_encoders() -> None:
    words = GRUTextEncoder(vocab_size=9, embed_dim=4)
    check_tokenizer(words, Tokenizer(9, 0, 1000))
    check_tokenizer(words, Tokenizer(8, 0, 1000))
    check_tokenizer(words, object())
    check_tokenizer(nn.Identity(), Tokenizer(10**6, 5, 10**6))
    with pytest.raises(ValueError, match='10 ids.* 9'):
        check_tokenizer(words, Tokenizer(10, 0, 40))
    sizes = dict(context_length=16, vocab_size=600, width=16, heads=2, layers=1)
    vision = dict(image_size=32, layers=1, width=16, patch_size=16, head_width=8)
    clip = OpenCLIPTextEncoder(None, model_cfg=dict(embed_dim=8, vision_cfg=vision, text_cfg=sizes))
    check_tokenizer(clip, Tokenizer(700, 1, 16))  # T5's has 100 ids more than SigLIP
    for size, longest in ((701, 16), (600, 17)):
        with pytest.raises(ValueError, match='OpenCLIPTextEncoder'):
            check_tokenizer(clip, Tokenizer(size, 1, longest))
