"""The image tower of a transformers folder gives what transformers itself gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from mmengine.config import Config

from tests.models.encoders.tiny_transformers import FAMILIES, VISION
from urbancross_mm.models import (
    CrossModalRetriever,
    HuggingFaceImageEncoder,
    RetrievalDataPreprocessor,
)
from urbancross_mm.registry import MODELS

PATCHES = {key: one for key, one in VISION.items() if key != 'image_size'}
SWIN = dict(
    image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4
)
ALONE = {
    'clip-vision': ('CLIPVisionModelWithProjection', dict(VISION, projection_dim=6)),
    'siglip-vision': ('SiglipVisionModel', VISION),
    'vit': ('ViTModel', VISION),
    'dinov2': ('Dinov2Model', VISION),
    'swin': ('SwinModel', SWIN),
    'convnext': (
        'ConvNextModel',
        dict(hidden_sizes=[4, 8, 8, 12], depths=[1, 1, 1, 1], image_size=64),
    ),
    'resnet': (
        'ResNetModel',
        dict(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type='basic'),
    ),
}
TWO_TOWERS = ('clip', 'chinese-clip', 'altclip', 'siglip', 'siglip2', 'blip')


@pytest.fixture(scope='module')
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    made = {name: FAMILIES[name].save(tmp_path_factory.mktemp(name)) for name in TWO_TOWERS}
    for name, (kind, sizes) in ALONE.items():
        made[name] = str(tmp_path_factory.mktemp(name))
        torch.manual_seed(0)
        kind = getattr(transformers, kind)
        kind(kind.config_class(**sizes)).save_pretrained(made[name])
    return made


def own_feature(name: str, folder: str, image: torch.Tensor) -> torch.Tensor:
    if name in TWO_TOWERS:
        kind = getattr(transformers, FAMILIES[name].model)
        model = kind.from_pretrained(folder).eval()
        return model.get_image_features(
            **siglip2_inputs(image) if name == 'siglip2' else dict(pixel_values=image)
        )
    model = getattr(transformers, ALONE[name][0]).from_pretrained(folder).eval()
    out = model(pixel_values=image)
    return out.image_embeds if name == 'clip-vision' else out.pooler_output.flatten(1)


def siglip2_inputs(image: torch.Tensor) -> dict[str, torch.Tensor]:
    """As SigLIP 2's own processor cuts an image of the right size into patches."""
    processor = transformers.Siglip2ImageProcessorFast(
        do_resize=False, do_rescale=False, do_normalize=False, patch_size=16, max_num_patches=4
    )
    return dict(processor(list(image), return_tensors='pt'))


@pytest.mark.parametrize('name', [*TWO_TOWERS, *ALONE])
@torch.no_grad()
def test_features_of_every_family(name: str, folders: dict[str, str]) -> None:
    side = 64 if name in ('convnext', 'resnet') else 32
    image = torch.rand(3, 3, side, side)
    encoder = HuggingFaceImageEncoder(folders[name]).eval()
    wanted = own_feature(name, folders[name], image)
    torch.testing.assert_close(encoder(image), wanted, rtol=1e-5, atol=1e-5)
    assert encoder.embed_dim == wanted.shape[1]
    mean = HuggingFaceImageEncoder(folders[name], pool='mean', embed_dim=4).eval()
    assert mean(image).shape == (3, 4)


def test_every_weight_that_trains_gets_a_gradient(folders: dict[str, str]) -> None:
    for name, folder in folders.items():
        for pool in ('pooler', 'mean'):
            encoder = HuggingFaceImageEncoder(folder, embed_dim=4, pool=pool).train()
            encoder(
                torch.rand(2, 3, 64, 64)
                if name in ('convnext', 'resnet')
                else torch.rand(2, 3, 32, 32)
            ).sum().backward()
            idle = [
                key
                for key, weight in encoder.named_parameters()
                if weight.requires_grad and weight.grad is None
            ]
            assert not idle, (name, pool, idle)


@pytest.mark.parametrize('statistics', [(0.5, 0.5), (0.4, 0.27)])
@torch.no_grad()
def test_from_pixels_on(statistics: tuple[float, float], folders: dict[str, str]) -> None:
    """With the folder's statistics the features equal those of transformers' own pipeline."""
    mean, std = ([item] * 3 for item in statistics)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    processor = transformers.SiglipImageProcessor(do_resize=False, image_mean=mean, image_std=std)
    model = transformers.SiglipModel.from_pretrained(folders['siglip']).eval()
    wanted = model.get_image_features(**processor(list(pixels), return_tensors='pt'))
    preprocessor = RetrievalDataPreprocessor(
        mean=[255 * item for item in mean], std=[255 * item for item in std]
    )
    images = [torch.from_numpy(item).permute(2, 0, 1) for item in pixels]
    inputs = preprocessor(dict(inputs=dict(image=images)), False)['inputs']
    encoder = HuggingFaceImageEncoder(folders['siglip']).eval()
    torch.testing.assert_close(encoder(inputs['image']), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', ['clip', 'siglip'])
@torch.no_grad()
def test_two_towers_of_one_folder(name: str, folders: dict[str, str]) -> None:
    """A retriever of both towers gives the similarities of the folder's own model."""
    towers: dict[str, Any] = dict(
        image_encoder=dict(type='HuggingFaceImageEncoder', path=folders[name]),
        text_encoder=dict(type='HuggingFaceTextEncoder', path=folders[name], pool='pooler'),
    )
    retriever = CrossModalRetriever(**towers).eval()
    retriever.init_weights()
    image, text = torch.rand(2, 3, 32, 32), torch.randint(3, 9, (4, 24))
    model = getattr(transformers, FAMILIES[name].model).from_pretrained(folders[name]).eval()
    out = model(input_ids=text, pixel_values=image)
    torch.testing.assert_close(retriever.encode_image(image), out.image_embeds)
    torch.testing.assert_close(retriever.encode_text(text), out.text_embeds)


def test_frozen_and_blocks(folders: dict[str, str]) -> None:
    frozen = HuggingFaceImageEncoder(folders['clip'], embed_dim=4, frozen=True).train()
    assert not frozen.model.training
    assert [n for n, p in frozen.named_parameters() if p.requires_grad] == [
        'projection.weight',
        'projection.bias',
    ]
    last = HuggingFaceImageEncoder(folders['clip'], trainable_layers=1)
    assert {n.split('.')[3] for n, p in last.named_parameters() if p.requires_grad} == {'1'}


def test_wrong_folders(tmp_path: Path) -> None:
    folder = FAMILIES['bert'].save(tmp_path)
    with pytest.raises(ValueError, match='BertModel'):
        HuggingFaceImageEncoder(folder)
    with pytest.raises(FileNotFoundError, match='none'):
        HuggingFaceImageEncoder(str(tmp_path / 'none'))
    with pytest.raises(ValueError, match="'avg'"):
        HuggingFaceImageEncoder(folder, pool='avg')
    (tmp_path / 'model.safetensors').write_bytes(b'torn')
    with pytest.raises(ValueError, match='cannot be loaded'):
        HuggingFaceImageEncoder(folder)


def test_the_sample_overlay_replaces_every_encoder_that_reads_weights() -> None:
    """A config with any of them runs under ``--sample``, where no folder is there."""
    root = Path(__file__).resolve().parents[3]
    replaced = Config.fromfile(root / 'configs/_base_/sample.py').sample.replace
    named = {name for name in MODELS.module_dict if name.startswith(('HuggingFace', 'OpenCLIP'))}
    assert len(named) == 4 and named <= set(replaced)
