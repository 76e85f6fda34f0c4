"""What a backbone returns, in training and in evaluation, and the vector that becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from tests.models.encoders.backbone_sizes import SIDES, SIZES
from urbancross_mm.models import BackboneEncoder

IMAGE = torch.zeros(2, 3, 64, 64)


class Backbone(BaseModule):
    """Its outputs are given as a function of the mode."""

    def __init__(self, outputs: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.outputs = outputs

    def forward(self, image: Tensor) -> Any:
        return scaled(self.outputs(self.training), self.weight)


def scaled(output: Any, weight: Tensor) -> Any:
    """Times a weight that is 1, so that every output depends on it."""
    if isinstance(output, dict):
        return {key: scaled(part, weight) for key, part in output.items()}
    if isinstance(output, list | tuple):
        return type(output)(scaled(part, weight) for part in output)
    fits = isinstance(output, Tensor) and output.is_floating_point()
    return output * weight if fits else output


def encode(outputs: Any, **options: Any) -> BackboneEncoder:
    return BackboneEncoder(Backbone(outputs), projection=None, **options)


def test_nested_outputs_are_pooled_side_by_side() -> None:
    vector, tokens, maps = torch.rand(2, 3), torch.rand(2, 5, 4), torch.rand(2, 6, 2, 2)
    encoder = encode(lambda training: (vector, [vector, (tokens, maps)]))
    wanted = torch.cat([vector, tokens.mean(1), maps.mean((2, 3))], dim=1)
    torch.testing.assert_close(encoder(IMAGE), wanted)
    assert encoder.embed_dim == 13


def test_all_outputs() -> None:
    maps = [torch.rand(2, width, 2, 2) for width in (3, 4, 5)]
    encoder = encode(lambda training: (maps[0], None, maps[1], maps[2]), out_index='all')
    torch.testing.assert_close(encoder(IMAGE), torch.cat([m.mean((2, 3)) for m in maps], dim=1))
    named = encode(lambda training: dict(a=maps[0], b=maps[1]), out_index='all')
    assert named.embed_dim == 7


def test_training_reads_what_evaluation_reads() -> None:
    """Auxiliary outputs come before, behind, or around what evaluation returns."""
    main, other = torch.rand(2, 4, 3, 3), torch.rand(2, 4, 3, 3)
    for trained in ((other, main, other), (main, other), (other, main)):
        encoder = encode(lambda training, t=trained: t if training else main)
        assert encoder.train().training
        torch.testing.assert_close(encoder(IMAGE), main.mean((2, 3)))
        torch.testing.assert_close(encoder.eval()(IMAGE), main.mean((2, 3)))
        (read,) = encoder.train().encode_maps(IMAGE)
        assert torch.equal(read, main)


def test_an_output_that_training_lacks_is_refused_when_it_is_read() -> None:
    maps = torch.rand(2, 4, 3, 3)
    encoder = encode(lambda training: () if training else maps)
    with pytest.raises(ValueError, match=r"'avg'.*NoneType.*Backbone"):
        encoder.train()(IMAGE)


def test_inception_returns_its_auxiliary_logits_in_training_alone() -> None:
    cfg = dict(type='mmpretrain.InceptionV3', aux_logits=True, num_classes=5)
    encoder = BackboneEncoder(cfg, embed_dim=4, probe_size=299)
    assert encoder.projection.in_features == 5
    idle = [key for key, weight in encoder.named_parameters() if not weight.requires_grad]
    assert idle and all('AuxLogits' in key for key in idle)


@pytest.mark.parametrize('name', ['mmpretrain.MlpMixer', 'mmpretrain.EfficientFormer'])
def test_tokens_with_channels_first(name: str) -> None:
    side = SIDES.get(name, 64)
    encoder = BackboneEncoder(dict(type=name, **SIZES[name]), projection=None, probe_size=side)
    image = torch.rand(2, 3, side, side)
    encoder.eval()
    torch.testing.assert_close(encoder(image), encoder.backbone(image)[-1].mean(dim=2))


@pytest.mark.parametrize('maps', [False, True])
def test_maps_of_timm_with_channels_last(maps: bool) -> None:
    options = dict(img_size=56, embed_dim=12, depths=(1,) * 4, num_heads=(1, 1, 2, 2))
    cfg = dict(type='mmpretrain.TIMMBackbone', model_name='swin_tiny_patch4_window7_224')
    encoder = BackboneEncoder(
        dict(cfg, features_only=maps, **options), projection=None, probe_size=56
    )
    image = torch.rand(1, 3, 56, 56)
    raw = encoder.eval().backbone(image)[-1]
    assert raw.shape == (1, 2, 2, 96) and encoder.embed_dim == 96
    torch.testing.assert_close(encoder(image), raw.mean((1, 2)))
    assert encoder.encode_maps(image)[-1].shape == (1, 96, 2, 2)


@pytest.mark.parametrize(
    'output, words',
    [
        (torch.zeros(2, 3, 4, 5, 6), r'shape \(2, 3, 4, 5, 6\)'),
        (torch.zeros(2), r'shape \(2,\)'),
        (torch.zeros(2, 3, dtype=torch.long), 'int64'),
        ('text', 'str'),
        (None, 'NoneType'),
        ((), 'tuple'),
    ],
)
def test_no_pooling_fits(output: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"pool='avg' cannot .*{words}.* of Backbone: .*tokens"):
        encode(lambda training: [output])


def test_an_output_that_depends_on_no_weight() -> None:
    """Such as the mask that a backbone of pre-training returns beside its features."""

    class Masked(Backbone):
        def forward(self, image: Tensor) -> Any:
            return super().forward(image), torch.ones(2, 1)

    masked = Masked(lambda training: torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r'Masked depends on a weight.*out_index=-1'):
        BackboneEncoder(masked, projection=None)
    assert BackboneEncoder(masked, projection=None, out_index=0).embed_dim == 3


def test_wrong_out_index() -> None:
    vector = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r'out_index=2.*Backbone has 1 output'):
        encode(lambda training: vector, out_index=2)
    with pytest.raises(ValueError, match="'last'"):
        encode(lambda training: vector, out_index='last')


def test_an_image_that_the_backbone_cannot_read() -> None:
    vit: dict[str, Any] = dict(
        type='mmpretrain.TIMMBackbone', model_name='vit_tiny_patch16_224', img_size=64, depth=1
    )
    with pytest.raises(ValueError, match=r'TIMMBackbone.*\(1, 3, 96, 96\).*probe_size'):
        BackboneEncoder(vit, embed_dim=4, probe_size=96)
    gray = {**SIZES['mmpretrain.ResNet'], 'type': 'mmpretrain.ResNet', 'in_channels': 1}
    with pytest.raises(ValueError, match=r'ResNet.*\(1, 3, 32, 32\).*image_channels'):
        BackboneEncoder(gray, embed_dim=4, probe_size=32)
    # A width that is given needs no pass: it may run on other images than those of the probe.
    assert BackboneEncoder(vit, embed_dim=4, probe_size=96, in_channels=192)(IMAGE).shape == (2, 4)


@pytest.mark.parametrize('package', ['mmseg', 'mmpretrain'])
def test_no_download_unless_asked(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    asked = []
    create = timm.create_model

    def note(*args: Any, pretrained: bool, **kwargs: Any) -> Any:
        asked.append(pretrained)
        return create(*args, pretrained=False, **kwargs)

    monkeypatch.setattr(timm, 'create_model', note)
    cfg = dict(type=f'{package}.TIMMBackbone', model_name='test_resnet')
    BackboneEncoder(cfg, embed_dim=4, probe_size=64)
    BackboneEncoder(dict(cfg, pretrained=True), embed_dim=4, probe_size=64)
    assert asked == [False, True]


def test_probing_draws_no_random_number() -> None:
    """Or every weight that is drawn later would be another one."""
    drop = encode(lambda training: nn.functional.dropout(torch.ones(2, 3), 0.5, training))
    cfg: dict[str, Any] = dict(type='mmpretrain.ResNet', **SIZES['mmpretrain.ResNet'])
    torch.manual_seed(0)
    BackboneEncoder(cfg, embed_dim=4, in_channels=32, probe_size=32)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    BackboneEncoder(cfg, embed_dim=4, in_channels=32, probe_size=32, frozen=True)
    assert torch.equal(state, torch.get_rng_state())
    before = torch.get_rng_state()
    drop.freeze_unread()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize('name', ['ResNet', 'MobileNetV2', 'ConvNeXt', 'VisionTransformer'])
def test_the_layout_of_inference_changes_no_feature(name: str) -> None:
    sizes = dict(ResNet=dict(depth=18), ConvNeXt=dict(arch='atto'))
    backbone = dict(type=f'mmpretrain.{name}', **sizes.get(name, {}))
    if name == 'VisionTransformer':
        backbone.update(arch='deit-tiny', img_size=64)
    encoder = BackboneEncoder(backbone, probe_size=64).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        fast = encoder(images)
    torch.testing.assert_close(fast, encoder(images).detach(), rtol=1e-4, atol=1e-5)


def test_layout_of_images() -> None:
    """Channels last where it is fast, and not where a gradient may crash."""
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(1, 8))
    encoder = BackboneEncoder(backbone, embed_dim=4, probe_size=32)
    seen: list[Tensor] = []
    backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    encoder(image := torch.randn(2, 3, 32, 32))
    with torch.no_grad():
        encoder(image)
    assert [rows.is_contiguous() for rows in seen] == [True, False]
    assert seen[1].is_contiguous(memory_format=torch.channels_last)
