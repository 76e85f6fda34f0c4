"""What a backbone returns, in training and in evaluation, and which of its weights train."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tests.models.encoders.backbone_sizes import SIDES, SIZES
from tests.ranks import run_on_ranks
from urbancross_mm.models import BackboneEncoder, CrossModalRetriever
from urbancross_mm.models.encoders import backbone_reader
from urbancross_mm.models.encoders.segment_tower import SegmentTower

IMAGE = torch.zeros(2, 3, 64, 64)
# The kinds of backbones that have weights without a gradient, and how many; then those that have
# none because everything is read, or because training returns more than evaluation.
KINDS: dict[str, tuple[str, dict[str, Any], int]] = {
    'branches': ('mmpretrain.HRNet', {}, 30),
    'branches, all': ('mmpretrain.HRNet', dict(out_index='all'), 0),
    'norms of outputs': ('mmseg.SwinTransformer', {}, 6),
    'norms, all': ('mmseg.SwinTransformer', dict(out_index='all'), 0),
    'auxiliary outputs': ('mmseg.BiSeNetV1', {}, 27),
    'auxiliary outputs, first': ('mmseg.BiSeNetV1', dict(out_index=0), 0),
    'auxiliary branch': ('mmseg.BiSeNetV2', {}, 51),
    'auxiliary branch, all': ('mmseg.BiSeNetV2', dict(out_index='all'), 0),
    'of no output': ('mmpretrain.DeiT3', {}, 4),
    'more in training': ('mmseg.PIDNet', {}, 0),
    'more in training, all': ('mmseg.DDRNet', dict(out_index='all'), 0),
    'nested': ('mmpretrain.Conformer', {}, 0),
}


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


def build(kind: str, **more: Any) -> BackboneEncoder:
    name, options, _ = KINDS[kind]
    cfg: dict[str, Any] = dict(type=name, **SIZES[name])
    return BackboneEncoder(cfg, embed_dim=4, probe_size=SIDES.get(name, 64), **options, **more)


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


@pytest.mark.parametrize('kind', list(KINDS))
def test_what_nothing_reads_does_not_train(kind: str) -> None:
    """And the rest does, in one training step."""
    encoder = build(kind).train()
    frozen = [key for key, weight in encoder.named_parameters() if not weight.requires_grad]
    assert len(frozen) == KINDS[kind][2]
    encoder(torch.randn(2, 3, 64, 64)).square().sum().backward()
    for key, weight in encoder.named_parameters():
        assert (weight.grad is not None) is weight.requires_grad, key


def test_what_is_read_later_trains_again() -> None:
    encoder = build('norms of outputs')
    norms = [weight for key, weight in encoder.backbone.named_parameters() if key[:4] == 'norm']
    assert [weight.requires_grad for weight in norms] == [False] * 6 + [True] * 2
    encoder.freeze_unread([0, 3])
    assert [weight.requires_grad for weight in norms] == [True] * 2 + [False] * 4 + [True] * 2
    copied = copy.deepcopy(encoder)
    copied.freeze_unread(range(4))
    assert all(weight.requires_grad for weight in copied.parameters())
    assert [weight.requires_grad for weight in norms].count(False) == 4
    encoder.requires_grad_(False)
    encoder.freeze_unread(range(4))  # someone froze all of it: it stays so
    assert not any(weight.requires_grad for weight in encoder.parameters())


def test_frozen_and_copied_towers_stay_as_they_are() -> None:
    frozen = build('branches', frozen=True)
    assert not any(weight.requires_grad for weight in frozen.backbone.parameters())
    encoder = build('branches')
    for mode, count in (('frozen', 0), ('trainable', None)):
        tower = SegmentTower(encoder, mode=mode)
        trained = [key for key, w in tower.encoder.named_parameters() if w.requires_grad]
        wanted = [key for key, w in encoder.named_parameters() if w.requires_grad]
        assert trained == (wanted if count is None else [])


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


def test_the_log_says_once_what_does_not_train(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(backbone_reader, 'print_log', lambda text, *_: said.append(text))
    retriever = CrossModalRetriever(
        image_encoder=build('branches'),
        text_encoder=dict(type='GRUTextEncoder', vocab_size=9, embed_dim=4),
    )
    retriever.init_weights()
    retriever.init_weights()
    assert len(said) == 1 and '30 weights of HRNet' in said[0] and "'all'" in said[0]
    build('branches, all').init_weights()
    assert len(said) == 1


def _train_on_two_ranks(rank: int) -> dict[str, float]:
    """Two steps of each kind; the distance of the ranks' weights after them."""
    distances = {}
    for kind in KINDS:
        torch.manual_seed(0)
        encoder = build(kind).train()
        wrapped = DistributedDataParallel(encoder, find_unused_parameters=False)
        optimizer = torch.optim.SGD(encoder.parameters(), 0.01)
        torch.manual_seed(1 + rank)
        for _ in range(2):  # the second step fails where a weight had no gradient in the first
            optimizer.zero_grad()
            wrapped(torch.randn(2, 3, 64, 64)).square().mean().backward()
            optimizer.step()
        mine = torch.cat([weight.detach().flatten() for weight in encoder.parameters()])
        both = [torch.empty_like(mine) for _ in range(2)]
        torch.distributed.all_gather(both, mine)
        distances[kind] = float((both[0] - both[1]).abs().max())
    torch.manual_seed(0)
    whole = build('branches').train()
    whole.requires_grad_(True)
    wrapped = DistributedDataParallel(whole, find_unused_parameters=False)
    try:
        for _ in range(2):
            wrapped(torch.randn(2, 3, 64, 64)).square().mean().backward()
    except RuntimeError as error:
        distances['refused'] = float('find_unused_parameters' in str(error))
    return distances


def test_each_kind_trains_on_two_ranks(tmp_path: Path) -> None:
    """Under DistributedDataParallel without a search for unused weights, which refuses else."""
    for distances in run_on_ranks(_train_on_two_ranks, tmp_path):
        assert distances.pop('refused') == 1
        assert distances == dict.fromkeys(KINDS, 0.0)
