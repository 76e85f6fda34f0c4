"""Every name that open_clip takes gives two towers of one vector each, or one sentence."""

from __future__ import annotations

import argparse
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file

from tests.models.encoders.tiny_transformers import FAMILIES
from tests.models.helpers import TINY_CLIP
from urbancross_mm.datasets.tokenizers import OpenCLIPTokenizer
from urbancross_mm.inference.checkpoints import for_checkpoint
from urbancross_mm.models import OpenCLIPImageEncoder, OpenCLIPTextEncoder
from urbancross_mm.models.encoders.clip_factory import build_clip

HF_FAMILIES = {
    'roberta-base': 'roberta',
    'xlm-roberta-base': 'xlm-roberta',
    'xlm-roberta-large': 'xlm-roberta',
    'google/mt5-base': 'mt5',
    'google/mt5-xl': 'mt5',
    'facebook/nllb-200-distilled-600M': 'nllb',
    'facebook/nllb-200-distilled-1.3B': 'nllb',
}
# Ways to make the models of timm shallow; the first that a model takes.
SHALLOW = (dict(depth=1), dict(depths=(1, 1, 1, 1)), {})
TINY_COCA = dict(
    TINY_CLIP,
    vision_cfg=dict(
        TINY_CLIP['vision_cfg'], attentional_pool=True, attn_pooler_heads=2, output_tokens=True
    ),
    text_cfg=dict(TINY_CLIP['text_cfg'], embed_cls=True, output_tokens=True),
    multimodal_cfg=dict(context_length=8, vocab_size=64, width=32, heads=2, layers=1),
)


def shallow_model(create: Any, name: str, **kwargs: Any) -> torch.nn.Module:
    for fewer in SHALLOW:
        try:
            return create(name, **kwargs, **fewer)
        except (TypeError, IndexError, AssertionError):
            continue
    raise AssertionError(name)


def tiny(name: str, hf_folders: dict[str, str]) -> dict[str, Any]:
    """The config of a name with few layers; the kinds of towers stay."""
    cfg = open_clip.get_model_config(name)
    vision, text = cfg['vision_cfg'], cfg['text_cfg']
    if 'layers' in vision:
        vision['layers'] = 2 if isinstance(vision['layers'], int) else [1, 1, 1, 1]
    if 'timm_model_name' in vision:
        vision['timm_model_pretrained'] = False
    text['layers'] = 2
    if 'hf_model_name' in text:
        text.update(
            hf_model_name=hf_folders[HF_FAMILIES[text['hf_model_name']]], hf_model_pretrained=False
        )
    return cfg


@pytest.fixture(scope='module')
def hf_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {
        family: FAMILIES[family].save(tmp_path_factory.mktemp(family))
        for family in set(HF_FAMILIES.values())
    }


def test_every_name_builds(hf_folders: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without memory for the weights, so that the largest take no longer than the smallest."""
    monkeypatch.setattr(torch, 'linspace', partial(torch.linspace, device='cpu'))
    monkeypatch.setattr(timm, 'create_model', partial(shallow_model, timm.create_model))
    kinds = set()
    for name in open_clip.list_models():
        cfg = tiny(name, hf_folders)
        kind = re.sub(r'\d+', '', json.dumps(cfg, sort_keys=True))
        if kind in kinds:  # the same model but for its sizes
            continue
        kinds.add(kind)
        of_hub = 'hf_model_name' in cfg['text_cfg']  # transformers looks at values in its masks
        with torch.device('cpu' if of_hub else 'meta'), torch.no_grad():
            model, width = build_clip(None, model_cfg=cfg)
            size = model.visual.image_size
            image = torch.zeros(2, 3, *(size if isinstance(size, tuple) else (size, size)))
            length = 9 if of_hub else cfg['text_cfg'].get('context_length', 77)
            text = torch.ones(2, length, dtype=torch.long)
            assert model.eval().visual(image).shape == (2, width), name
            assert model.text(text).shape == (2, width), name


@pytest.mark.parametrize(
    'name',
    [
        name
        for name in open_clip.list_models()
        if 'hf_model_name' in open_clip.get_model_config(name)['text_cfg']
    ],
)
def test_text_towers_of_the_hub_are_refused_without_network(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    with pytest.raises(FileNotFoundError) as caught:
        OpenCLIPTextEncoder(name)
    message = str(caught.value)
    assert name in message and 'hf_model_name' in message and '\n' not in message


@torch.no_grad()
def test_coca_gives_what_open_clip_gives(tmp_path: Path) -> None:
    model = open_clip.CoCa(**TINY_COCA).eval()
    torch.save(model.state_dict(), tmp_path / 'coca.pt')
    image, text = torch.randn(2, 3, 32, 32), torch.randint(1, 64, (3, 7))
    for kind, inputs, encode in (
        (OpenCLIPImageEncoder, image, model.encode_image),
        (OpenCLIPTextEncoder, text, model.encode_text),
    ):
        encoder = kind(pretrained=str(tmp_path / 'coca.pt'), model_cfg=TINY_COCA).eval()
        torch.testing.assert_close(encoder(inputs), encode(inputs, normalize=False))


def folder_of(
    path: Path,
    model: torch.nn.Module,
    weights: str = 'open_clip_model.safetensors',
    cfg: dict[str, Any] = TINY_CLIP,
) -> str:
    path.mkdir(parents=True, exist_ok=True)
    content = dict(model_cfg=cfg, preprocess_cfg=dict(mean=[0.5] * 3, std=[0.5] * 3))
    (path / 'open_clip_config.json').write_text(json.dumps(content))
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    (save_file if weights.endswith('.safetensors') else torch.save)(state, path / weights)
    return str(path)


@pytest.mark.parametrize('schema', ['local-dir', 'hf-hub'])
@pytest.mark.parametrize('weights', ['open_clip_model.safetensors', 'open_clip_pytorch_model.bin'])
@torch.no_grad()
def test_folders(
    schema: str, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An absolute folder, and a model of the hub as its cache keeps it."""
    model = open_clip.CLIP(**TINY_CLIP).eval()
    hub = tmp_path / 'models--org--tiny' / 'snapshots' / ('0' * 40)
    name = f'local-dir:{folder_of(hub, model, weights)}'
    if schema == 'hf-hub':
        monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path))
        monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
        (hub.parents[1] / 'refs').mkdir()
        (hub.parents[1] / 'refs' / 'main').write_text('0' * 40)
        name = 'hf-hub:org/tiny'
    image, text = torch.randn(2, 3, 32, 32), torch.randint(1, 64, (3, 8))
    image_encoder, text_encoder = OpenCLIPImageEncoder(name).eval(), OpenCLIPTextEncoder(name)
    torch.testing.assert_close(image_encoder(image), model.encode_image(image))
    torch.testing.assert_close(text_encoder.eval()(text), model.encode_text(text))
    assert OpenCLIPTokenizer(name)(['a red road']).shape == (1, 8)


def test_a_checkpoint_needs_no_weights_of_the_folder(tmp_path: Path) -> None:
    name = f'local-dir:{folder_of(tmp_path, open_clip.CLIP(**TINY_CLIP))}'
    cfg = for_checkpoint(dict(type='OpenCLIPImageEncoder', model_name=name, frozen=True))
    (tmp_path / 'open_clip_model.safetensors').write_bytes(b'torn')
    with pytest.raises(ValueError, match='open_clip_model.safetensors'):
        OpenCLIPImageEncoder(name)
    cfg.pop('type')
    encoder = OpenCLIPImageEncoder(**cfg)
    plain = OpenCLIPImageEncoder(model_cfg=TINY_CLIP)
    assert list(encoder.state_dict()) == list(plain.state_dict())


@pytest.mark.parametrize('wrap', ['training', 'module', 'namespace'])
@torch.no_grad()
def test_checkpoints_of_a_training(wrap: str, tmp_path: Path) -> None:
    """What open_clip's own training saves, with its arguments beside the weights or not."""
    model = open_clip.CustomTextCLIP(**TINY_CLIP).eval()
    state = {
        f'{"" if wrap == "training" else "module."}{key}': value
        for key, value in model.state_dict().items()
    }
    optimizer = torch.optim.AdamW(model.parameters()).state_dict()
    content: dict[str, Any] = dict(epoch=3, name='run', state_dict=state, optimizer=optimizer)
    if wrap == 'namespace':
        content['args'] = argparse.Namespace(lr=1e-3, model='ViT-B-32', betas=(0.9, 0.98))
    torch.save(content, tmp_path / 'epoch_3.pt')
    encoder = OpenCLIPImageEncoder(pretrained=str(tmp_path / 'epoch_3.pt'), model_cfg=TINY_CLIP)
    image = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(encoder.eval()(image), model.encode_image(image))


def test_half_precision_weights_of_openai(tmp_path: Path) -> None:
    path, quick = tmp_path / 'ViT-B-32.pt', dict(TINY_CLIP, quick_gelu=True)
    model = open_clip.CLIP(**quick).eval()
    numbers = dict.fromkeys(('input_resolution', 'context_length', 'vocab_size'), torch.tensor(9))
    torch.save({**model.half().state_dict(), **numbers}, path)
    encoder = OpenCLIPImageEncoder(pretrained=str(path), model_cfg=quick).eval()
    image = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(encoder(image), model.float().encode_image(image))


@pytest.mark.parametrize(
    'cfg, words',
    [
        (dict(embed_dim=16), 'vision_cfg, text_cfg'),
        (dict(TINY_CLIP, vision_cfg=dict(patches=3)), 'patches'),
        (
            dict(TINY_CLIP, vision_cfg=dict(timm_model_name='nothing_16', image_size=32)),
            'nothing_16',
        ),
    ],
)
def test_configs_that_do_not_fit(cfg: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        OpenCLIPImageEncoder(model_cfg=cfg)
    assert words in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'name, error, words',
    [
        ('local-dir:/no/such/folder', FileNotFoundError, 'open_clip_config.json'),
        ('local-dir:', ValueError, "'local-dir:'"),
        ('hf-hub:org/none', FileNotFoundError, 'org/none'),
        ('local-dir:{}', ValueError, 'cannot be read'),
    ],
)
def test_folders_that_are_none(
    name: str, error: type, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    (tmp_path / 'open_clip_config.json').write_text('[]')
    with pytest.raises(error) as caught:
        OpenCLIPImageEncoder(name.format(tmp_path))
    assert words in str(caught.value) and '\n' not in str(caught.value)


def test_which_weights_of_a_folder(tmp_path: Path) -> None:
    model = open_clip.CLIP(**TINY_CLIP)
    name = f'local-dir:{folder_of(tmp_path, model, "epoch_1.pt")}'
    OpenCLIPImageEncoder(name)
    folder_of(tmp_path, model, 'epoch_2.pt')
    with pytest.raises(ValueError, match=r'epoch_1\.pt, epoch_2\.pt'):
        OpenCLIPImageEncoder(name)
    OpenCLIPImageEncoder(name, pretrained=str(tmp_path / 'epoch_2.pt'))


def test_tokenizers_of_folders(tmp_path: Path) -> None:
    text_cfg = dict(TINY_CLIP['text_cfg'], hf_tokenizer_name='org/tiny')
    model = open_clip.CLIP(**TINY_CLIP)
    name = f'local-dir:{folder_of(tmp_path, model, cfg=dict(TINY_CLIP, text_cfg=text_cfg))}'
    with pytest.raises(OSError, match=r"'local-dir:"):
        OpenCLIPTokenizer(name)
    FAMILIES['roberta'].save(tmp_path)
    tokens = OpenCLIPTokenizer(name)(['a red road', 'road ' * 20])
    assert tokens.shape == (2, 8) and tokens[1, -1] == 2
    assert OpenCLIPTokenizer('ViT-B/16').context_length == 77
