"""Backbones of three packages, each kind of output, each kind of pooling."""

from pathlib import Path

import pytest
import torch
from mmengine.model import BaseModule

from urbancross_mm.models import BackboneEncoder

MIT = dict(
    type='mmseg.MixVisionTransformer', embed_dims=8, num_layers=[1] * 4, num_heads=[1, 1, 2, 4]
)
VIT = dict(
    type='mmpretrain.VisionTransformer',
    img_size=64,
    patch_size=16,
    arch=dict(embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=24),
)
SWIN = dict(
    type='mmpretrain.SwinTransformer',
    img_size=224,
    arch=dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 4]),
)
RESNET = dict(type='mmpretrain.ResNet', depth=18, base_channels=8)
BACKBONES = {
    'resnet': (RESNET, 64, 64),
    'mobilenet': (dict(type='mmpretrain.MobileNetV2', widen_factor=0.25), 64, 1280),
    'swin': (SWIN, 224, 64),
    'vit-cls': (VIT, 64, 24),
    'vit-raw': ({**VIT, 'out_type': 'raw'}, 64, 24),
    'vit-map': ({**VIT, 'out_type': 'featmap'}, 64, 24),
    'mit': (MIT, 64, 32),
    'resnet-v1c': (
        dict(type='mmseg.ResNetV1c', depth=18, base_channels=8, stem_channels=8),
        64,
        64,
    ),
    'timm': (dict(type='mmpretrain.TIMMBackbone', model_name='resnet18'), 64, 512),
}


class FakeBackbone(BaseModule):
    """Returns what it is told to, so that pooling can be checked by hand."""

    def __init__(self, *outputs: torch.Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.outputs


@pytest.mark.parametrize('name', list(BACKBONES))
def test_backbones(name: str) -> None:
    backbone, size, width = BACKBONES[name]
    encoder = BackboneEncoder(backbone, embed_dim=12)
    encoder.init_weights()
    assert encoder.projection.in_features == width
    out = encoder(torch.randn(2, 3, size, size))
    assert out.shape == (2, 12)
    out.sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.backbone.parameters())


@pytest.mark.parametrize('pool', ['avg', 'max', 'gem', 'cls'])
@pytest.mark.parametrize('kind', ['map', 'tokens'])
def test_pooling(pool: str, kind: str) -> None:
    feats = torch.rand(2, 6, 4, 5) + 0.1
    expected = dict(
        avg=feats.mean((2, 3)),
        max=feats.amax((2, 3)),
        gem=feats.pow(3).mean((2, 3)).pow(1 / 3),
        cls=feats[:, :, 0, 0],
    )[pool]
    shaped = feats if kind == 'map' else feats.flatten(2).transpose(1, 2)
    if (pool, kind) == ('cls', 'map'):
        with pytest.raises(ValueError, match=r"'cls'.*\(2, 6, 4, 5\)"):
            BackboneEncoder(FakeBackbone(shaped), pool=pool, projection=None)
        return
    encoder = BackboneEncoder(FakeBackbone(shaped), pool=pool, projection=None)
    torch.testing.assert_close(encoder(torch.zeros(2, 3, 8, 8)), expected)
    assert encoder.embed_dim == 6


def test_out_index_and_vectors() -> None:
    first, second = torch.randn(2, 5), torch.randn(2, 7)
    encoder = BackboneEncoder(FakeBackbone(first, second), projection=None, out_index=0)
    assert torch.equal(encoder(torch.zeros(2, 3, 8, 8)), first)


def test_probe_leaves_no_trace() -> None:
    encoder = BackboneEncoder(RESNET, embed_dim=4)
    assert encoder.backbone.training
    assert encoder.backbone.bn1.running_mean.abs().sum() == 0
    assert encoder.backbone.bn1.num_batches_tracked == 0


@pytest.mark.parametrize('frozen', [True, False])
def test_norm_eval_and_frozen(frozen: bool) -> None:
    encoder = BackboneEncoder(RESNET, embed_dim=4, in_channels=64, norm_eval=True, frozen=frozen)
    encoder.train()
    assert encoder.training and not encoder.backbone.bn1.training
    assert encoder.backbone.training is not frozen
    assert encoder.backbone.conv1.weight.requires_grad is not frozen
    before = encoder.backbone.bn1.running_mean.clone()
    encoder(torch.randn(2, 3, 64, 64)).sum().backward()
    assert torch.equal(encoder.backbone.bn1.running_mean, before)
    assert encoder.projection.weight.grad is not None
    assert (encoder.backbone.conv1.weight.grad is None) is frozen


def test_pretrained_backbone(tmp_path: Path) -> None:
    source = BackboneEncoder(RESNET, embed_dim=4, in_channels=64)
    state = {f'backbone.{k}': v + 1 for k, v in source.backbone.state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'weights.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth'), prefix='backbone.')
    encoder = BackboneEncoder({**RESNET, 'init_cfg': init_cfg}, embed_dim=4, in_channels=64)
    encoder.init_weights()
    for key, value in encoder.backbone.state_dict().items():
        assert torch.equal(value, state[f'backbone.{key}']), key


def test_projections() -> None:
    feats = torch.randn(2, 6)
    mlp = BackboneEncoder(FakeBackbone(feats), embed_dim=4, projection='mlp', dropout=0.5)
    assert mlp(torch.zeros(2, 3, 8, 8)).shape == (2, 4)
    with pytest.raises(ValueError, match='6, got 4'):
        BackboneEncoder(FakeBackbone(feats), embed_dim=4, projection=None)


@pytest.mark.parametrize('kwargs', [dict(pool='sum'), dict(projection='cnn')])
def test_unknown_option(kwargs: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(kwargs.values()))):
        BackboneEncoder(FakeBackbone(torch.zeros(1, 4)), **kwargs)


def test_unknown_backbone() -> None:
    with pytest.raises(ValueError, match=r"unknown backbone 'mmseg.MixVisionTransfomer'.*mmseg"):
        BackboneEncoder(dict(type='mmseg.MixVisionTransfomer'), embed_dim=4)


PYRAMIDS = {
    'resnet': ({**RESNET, 'out_indices': (0, 1, 2, 3)}, 64, [(8, 4), (16, 8), (32, 16), (64, 32)]),
    'swin': ({**SWIN, 'out_indices': (0, 1, 2, 3)}, 224, [(8, 4), (16, 8), (32, 16), (64, 32)]),
    'vit-map': ({**VIT, 'out_type': 'featmap', 'out_indices': (0, 1)}, 64, [(24, 16), (24, 16)]),
    'mit': (MIT, 64, [(8, 4), (8, 8), (16, 16), (32, 32)]),
    'resnet-v1c': (BACKBONES['resnet-v1c'][0], 64, [(8, 4), (16, 8), (32, 8), (64, 8)]),
    'timm': (
        dict(type='mmpretrain.TIMMBackbone', model_name='resnet18', features_only=True),
        64,
        [(64, 2), (64, 4), (128, 8), (256, 16), (512, 32)],
    ),
}


@pytest.mark.parametrize('name', list(PYRAMIDS))
def test_maps_of_a_pyramid(name: str) -> None:
    backbone, size, shapes = PYRAMIDS[name]
    encoder = BackboneEncoder(backbone, embed_dim=12, probe_size=size).eval()
    image = torch.randn(2, 3, size, size)
    maps = encoder.encode_maps(image)
    if name == 'resnet-v1c':  # dilated: the test does not depend on how
        shapes = [(out.shape[1], size // out.shape[2]) for out in maps]
    assert encoder.map_shapes() == shapes
    assert [(2, c, size // s, size // s) for c, s in shapes] == [tuple(out.shape) for out in maps]
    torch.testing.assert_close(encoder.embed_map(maps[-1]), encoder(image))


def test_probing_leaves_statistics_and_mode_alone() -> None:
    encoder = BackboneEncoder(PYRAMIDS['resnet'][0], embed_dim=12, probe_size=64).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.map_shapes()
    assert encoder.backbone.training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize('name', ['vit-cls', 'vit-raw'])
def test_a_backbone_without_maps(name: str) -> None:
    encoder = BackboneEncoder(BACKBONES[name][0], embed_dim=12, probe_size=64)
    with pytest.raises(ValueError, match=r"VisionTransformer.*\(1, .*out_type='featmap'"):
        encoder.map_shapes()


def test_a_spectrogram_of_one_channel_is_repeated() -> None:
    encoder = BackboneEncoder({**RESNET, 'out_indices': (0, 3)}, embed_dim=12).eval()
    spectrogram = torch.randn(2, 1, 64, 96)
    whole = spectrogram.repeat(1, 3, 1, 1)
    assert torch.equal(encoder(spectrogram), encoder(whole))
    for one, three in zip(encoder.encode_maps(spectrogram), encoder.encode_maps(whole)):
        assert torch.equal(one, three)
    assert one.shape[2:] == (2, 3)  # mel bands and frames, each a 32nd


def test_a_backbone_of_one_channel() -> None:
    encoder = BackboneEncoder({**RESNET, 'in_channels': 1}, embed_dim=12, image_channels=1).train()
    out = encoder(torch.randn(3, 1, 64, 40))
    out.square().sum().backward()
    assert out.shape == (3, 12)
    assert all(p.grad.abs().sum() > 0 for p in encoder.parameters())


@pytest.mark.parametrize('name', ['resnet', 'mobilenet', 'vit-cls', 'mit', 'timm'])
def test_no_row_gives_no_vector_and_moves_no_statistics(name: str) -> None:
    backbone, size, _ = BACKBONES[name]
    encoder = BackboneEncoder(backbone, embed_dim=12).train()
    before = {key: value.clone() for key, value in encoder.named_buffers()}
    assert encoder(torch.zeros(0, 1, size, size)).shape == (0, 12)
    for key, value in encoder.named_buffers():
        assert key.endswith('num_batches_tracked') or torch.equal(value, before[key])
