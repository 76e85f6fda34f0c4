"""A CLIP gives the same embeddings whatever file of the field it comes from."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.models.encoders.clip_files import CFG, FILES, IMAGE, OPENAI, QUICK, TEXT, clip
from urbancross_mm.models import CrossModalRetriever, OpenCLIPImageEncoder, OpenCLIPTextEncoder
from urbancross_mm.models.encoders.clip_layouts import to_two_towers
from urbancross_mm.utils.checkpoints import read_state_dict

ENCODERS = dict(
    image_encoder=dict(type='OpenCLIPImageEncoder', model_cfg=CFG),
    text_encoder=dict(type='OpenCLIPTextEncoder', model_cfg=CFG),
)


@pytest.mark.parametrize('layout', FILES)
def test_an_encoder_loads_every_layout(layout: str, tmp_path: Path) -> None:
    name, save = FILES[layout]
    model = clip()
    save(model, tmp_path / name)
    options = dict(pretrained=str(tmp_path / name), model_cfg=CFG)
    image, text = OpenCLIPImageEncoder(**options).eval(), OpenCLIPTextEncoder(**options).eval()
    with torch.no_grad():
        torch.testing.assert_close(image(IMAGE), model.encode_image(IMAGE))
        torch.testing.assert_close(text(TEXT), model.encode_text(TEXT))


@pytest.mark.parametrize('layout', OPENAI)
def test_files_of_openai(layout: str, tmp_path: Path) -> None:
    name, save = OPENAI[layout]
    model = clip(QUICK)
    save(model, tmp_path / name)
    options = dict(pretrained=str(tmp_path / name), model_cfg=CFG)
    with pytest.raises(ValueError, match='force_quick_gelu') as caught:
        OpenCLIPImageEncoder(**options)
    assert name in str(caught.value)
    image = OpenCLIPImageEncoder(**options, force_quick_gelu=True).eval()
    text = OpenCLIPTextEncoder(**options, force_quick_gelu=True).eval()
    with torch.no_grad():
        torch.testing.assert_close(image(IMAGE), model.encode_image(IMAGE))
        torch.testing.assert_close(text(TEXT), model.encode_text(TEXT))


@pytest.mark.parametrize('layout', ['open_clip', 'skyclip', 'safetensors', 'published'])
def test_init_cfg_loads_every_layout(layout: str, tmp_path: Path) -> None:
    name, save = FILES[layout]
    model = clip()
    save(model, tmp_path / name)
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / name))
    encoders = [
        OpenCLIPImageEncoder(model_cfg=CFG, init_cfg=init_cfg),
        OpenCLIPTextEncoder(model_cfg=CFG, init_cfg=init_cfg),
    ]
    for encoder in encoders:
        encoder.init_weights()
        encoder.eval()
    with torch.no_grad():
        torch.testing.assert_close(encoders[0](IMAGE), model.encode_image(IMAGE))
        torch.testing.assert_close(encoders[1](TEXT), model.encode_text(TEXT))


@pytest.mark.parametrize('layout', OPENAI)
def test_files_of_openai_are_refused_on_every_way(layout: str, tmp_path: Path) -> None:
    """With another activation they fit in names and shapes, and would cost accuracy silently."""
    name, save = OPENAI[layout]
    save(clip(QUICK), tmp_path / name)
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / name))
    with pytest.raises(ValueError, match='force_quick_gelu'):
        OpenCLIPTextEncoder(model_cfg=CFG, init_cfg=init_cfg).init_weights()
    weights = read_state_dict(tmp_path / name)
    with pytest.raises(ValueError, match='force_quick_gelu'):
        CrossModalRetriever(**ENCODERS).own_weights(weights)
    towers = {part: dict(tower, force_quick_gelu=True) for part, tower in ENCODERS.items()}
    named = CrossModalRetriever(**towers).own_weights(weights)
    assert 'image_encoder.tower.class_embedding' in named


def test_weights_of_another_model_keep_their_names() -> None:
    weights = {'transformer.h.0.weight': torch.ones(1), 'conv1.weight': torch.ones(1)}
    assert to_two_towers(weights) == weights
    model = CrossModalRetriever(**ENCODERS)
    assert model.own_weights(weights) is weights
    own = model.state_dict()
    assert model.own_weights(own) is own


def test_one_line_says_what_was_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from urbancross_mm.models.encoders import clip_factory

    said: list[str] = []
    monkeypatch.setattr(clip_factory, 'print_log', lambda text, **_: said.append(text))
    name, save = FILES['fine_tuned']
    save(clip(), tmp_path / name)
    OpenCLIPImageEncoder(pretrained=str(tmp_path / name), model_cfg=CFG)
    (line,) = said
    count = len(clip().state_dict())
    assert f'loaded {count} of {count} weights from {tmp_path / name}' in line
    for part in ('clip_img_seg (', 'discriminator (1)', 'segment ('):
        assert part in line
    assert '\n' not in line and len(line) < 400


def wider() -> dict:
    return dict(CFG, vision_cfg=dict(CFG['vision_cfg'], width=128))


def shallower() -> dict:
    return dict(CFG, text_cfg=dict(CFG['text_cfg'], layers=1))


@pytest.mark.parametrize(
    ('weights', 'words'),
    [
        (lambda: clip(wider()).state_dict(), r'visual\.class_embedding \(128,\) in place of \(64'),
        (lambda: clip(shallower()).state_dict(), r'missing: text \(12\)'),
        (
            lambda: {'bert.encoder.weight': torch.ones(1)},
            r' 0 fit; missing: .*visual \(.*bert \(1\)',
        ),
        (lambda: clip().visual.state_dict(), r' 0 fit; missing: text'),
    ],
    ids=['shapes', 'layers', 'architecture', 'one tower without its name'],
)
def test_weights_that_do_not_fit(weights: Callable, words: str, tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / 'x.pt')
    with pytest.raises(ValueError, match=words) as caught:
        OpenCLIPTextEncoder(pretrained=str(tmp_path / 'x.pt'), model_cfg=CFG)
    message = str(caught.value)
    assert 'x.pt' in message and '\n' not in message and len(message) < 400
    if 'shape' not in message:
        with pytest.raises(ValueError, match='x.pt'):  # more layers than the model has
            torch.save(clip().state_dict(), tmp_path / 'x.pt')
            OpenCLIPTextEncoder(pretrained=str(tmp_path / 'x.pt'), model_cfg=shallower())


def test_transformers_without_a_key_of_attention(tmp_path: Path) -> None:
    names = ('vision_model.encoder.layers.0.self_attn.q_proj.weight', 'text_model.x')
    with pytest.raises(ValueError, match=r'in_proj_weight.*q and not q, k and v'):
        to_two_towers(dict.fromkeys(names, torch.ones(2, 2)))
