"""Image models of transformers encode images and train, with each pooling that fits them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers

from tests.models.encoders.tiny_transformers import VISION
from urbancross_mm.models import HuggingFaceImageEncoder

STAGES = dict(hidden_sizes=[8, 8, 16, 16], depths=[1] * 4)
PYRAMID = dict(STAGES, num_attention_heads=[1, 1, 2, 2])
SWIN = dict(
    image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4
)
CONVNET = dict(embedding_size=4, hidden_sizes=[8, 16], depths=[1, 1])
TOKENS, MAPS = ('pooler', 'mean', 'cls'), ('pooler', 'mean')
# Class, sizes, side of the images, and which poolings fit.
MODELS: dict[str, tuple[dict[str, Any], int, tuple[str, ...]]] = {
    'BeitModel': (VISION, 32, TOKENS),
    'BitModel': (dict(CONVNET, num_groups=1), 64, MAPS),
    'BlipVisionModel': (VISION, 32, TOKENS),
    'CLIPVisionModel': (VISION, 32, TOKENS),
    'CLIPVisionModelWithProjection': (dict(VISION, projection_dim=6), 32, TOKENS),
    'ConvNextModel': (STAGES, 64, MAPS),
    'ConvNextV2Model': (STAGES, 64, MAPS),
    'DINOv3ViTModel': (VISION, 32, TOKENS),
    'Data2VecVisionModel': (VISION, 32, ('mean', 'cls')),
    'DeiTModel': (VISION, 32, TOKENS),
    'Dinov2Model': (VISION, 32, TOKENS),
    'Dinov2WithRegistersModel': (VISION, 32, TOKENS),
    'FocalNetModel': (
        dict(
            image_size=32,
            embed_dim=8,
            hidden_sizes=[8, 16],
            depths=[1, 1],
            focal_levels=[1, 1],
            focal_windows=[3, 3],
        ),
        32,
        TOKENS,
    ),
    'LevitModel': (
        dict(
            hidden_sizes=[16] * 3,
            depths=[1] * 3,
            num_attention_heads=[2] * 3,
            key_dim=[8] * 3,
            image_size=64,
        ),
        64,
        TOKENS,
    ),
    'MobileNetV1Model': (dict(depth_multiplier=0.25, image_size=64), 64, MAPS),
    'MobileNetV2Model': (dict(depth_multiplier=0.25, image_size=64), 64, MAPS),
    'MobileViTV2Model': (dict(width_multiplier=0.25, image_size=64), 64, MAPS),
    'PoolFormerModel': (STAGES, 64, ('mean',)),
    'PvtModel': (dict(PYRAMID, image_size=64), 64, ('mean', 'cls')),
    'PvtV2Model': (dict(PYRAMID, image_size=64), 64, ('mean',)),
    'RegNetModel': (dict(CONVNET, groups_width=4), 64, MAPS),
    'ResNetModel': (dict(CONVNET, layer_type='basic'), 64, MAPS),
    'SamVisionModel': (
        dict(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=64,
            mlp_dim=16,
            output_channels=8,
            window_size=2,
            global_attn_indexes=[1],
        ),
        64,
        ('mean',),
    ),
    'SegformerModel': (dict(PYRAMID, decoder_hidden_size=8), 64, ('mean',)),
    'SiglipVisionModel': (VISION, 32, TOKENS),
    'SwiftFormerModel': (dict(embed_dims=[8, 8, 16, 16], depths=[1] * 4), 64, ('mean',)),
    'SwinModel': (SWIN, 32, TOKENS),
    'Swinv2Model': (SWIN, 32, TOKENS),
    'ViTMAEModel': (VISION, 32, ('mean', 'cls')),
    'ViTMSNModel': (VISION, 32, ('mean', 'cls')),
    'ViTModel': (VISION, 32, TOKENS),
}


def save(name: str, folder: Path) -> str:
    torch.manual_seed(0)
    kind = getattr(transformers, name)
    kind(kind.config_class(**MODELS[name][0])).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize('name', list(MODELS))
def test_forward_and_backward(name: str, tmp_path: Path) -> None:
    folder, (_, side, pools) = save(name, tmp_path), MODELS[name]
    image = torch.rand(2, 3, side, side)
    for pool in TOKENS:
        if pool not in pools:
            with pytest.raises(ValueError, match=f"pool='{pool}'.*{name}"):
                HuggingFaceImageEncoder(folder, pool=pool)
            continue
        encoder = HuggingFaceImageEncoder(folder, embed_dim=4, pool=pool).train()
        out = encoder(image)
        assert out.shape == (2, 4)
        out.square().sum().backward()
        for key, weight in encoder.named_parameters():
            assert (weight.grad is not None) is weight.requires_grad, key
        with torch.no_grad():
            # ViTMAE shuffles the patches, and hides none.
            torch.testing.assert_close(encoder.eval()(image), encoder(image))


def test_an_output_that_no_pooling_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save('ViTModel', tmp_path)
    for states in (None, torch.zeros(2, 3)):
        monkeypatch.setattr(
            transformers.ViTModel,
            'forward',
            lambda self, pixel_values, s=states: SimpleNamespace(last_hidden_state=s),
        )
        shape = 'none' if states is None else r'\(2, 3\)'
        with pytest.raises(ValueError, match=f"pool='mean' .*ViTModel.*{shape}.*tokens"):
            HuggingFaceImageEncoder(folder, pool='mean')
