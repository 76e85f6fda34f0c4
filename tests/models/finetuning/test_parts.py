"""One part of a fine-tuned checkpoint in another model: with the update, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.models.helpers import EMBED_DIM, TINY_CLIP, cross_modal

CLIP = dict(type='OpenCLIPImageEncoder', model_name=None, model_cfg=TINY_CLIP)
TEXT = dict(type='OpenCLIPTextEncoder', model_name=None, model_cfg=TINY_CLIP)
ARCH = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
VIT = dict(type='mmpretrain.VisionTransformer', arch=ARCH, img_size=32, patch_size=16)
BACKBONE = dict(type='BackboneEncoder', embed_dim=EMBED_DIM, probe_size=32, projection=None)
LORA, ADAPTER = dict(lora=dict(rank=2)), dict(adapter=dict(width=4))


def tuned(image_encoder: dict[str, Any], part: dict[str, Any], path: Path) -> nn.Module:
    """A model whose updates are not 0, and its checkpoint."""
    torch.manual_seed(0)
    model = cross_modal(
        image_encoder=image_encoder, text_encoder=TEXT, finetune=dict(image_encoder=part)
    )
    for name, weight in model.named_parameters():
        if name.endswith('.up'):
            nn.init.normal_(weight, std=0.1)
    torch.save(dict(state_dict=model.state_dict()), path)
    return model.eval()


def ways(path: Path) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Image encoder of the run, and one that starts from its checkpoint."""
    backbone = dict(BACKBONE, backbone=VIT)
    init = dict(type='Pretrained', checkpoint=str(path), prefix='image_encoder.')
    inner = dict(init, prefix='image_encoder.backbone.')
    return {
        'pretrained': (CLIP, dict(CLIP, pretrained=str(path))),
        'init_cfg': (CLIP, dict(CLIP, init_cfg=init)),
        'of a backbone': (backbone, dict(backbone, backbone=dict(VIT, init_cfg=inner))),
    }


def started(encoder: dict[str, Any], image: Tensor, **options: Any) -> Tensor:
    torch.manual_seed(1)
    model = cross_modal(image_encoder=encoder, text_encoder=TEXT, **options)
    model.init_weights()
    return model.eval().encode_image(image)


@pytest.mark.parametrize('way', ['pretrained', 'init_cfg', 'of a backbone'])
def test_lora_is_merged(way: str, tmp_path: Path) -> None:
    path, image = tmp_path / 'run.pth', torch.randn(2, 3, 32, 32)
    encoder, other = ways(path)[way]
    model = tuned(encoder, LORA, path)
    torch.testing.assert_close(started(other, image), model.encode_image(image))


@pytest.mark.parametrize('way', ['pretrained', 'init_cfg', 'of a backbone'])
def test_adapters_are_refused(way: str, tmp_path: Path) -> None:
    path = tmp_path / 'run.pth'
    encoder, other = ways(path)[way]
    tuned(encoder, ADAPTER, path)
    with pytest.raises(ValueError, match=r'adapter|in the file beside them'):
        started(other, torch.randn(2, 3, 32, 32))


@pytest.mark.parametrize('part', [LORA, ADAPTER], ids=str)
def test_a_model_that_is_tuned_the_same_way_takes_both(
    part: dict[str, Any], tmp_path: Path
) -> None:
    path, image = tmp_path / 'run.pth', torch.randn(2, 3, 32, 32)
    encoder, other = ways(path)['of a backbone']
    model = tuned(encoder, part, path)
    got = started(other, image, finetune=dict(image_encoder=part))
    torch.testing.assert_close(got, model.encode_image(image))
