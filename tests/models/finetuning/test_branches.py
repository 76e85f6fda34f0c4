"""LoRA and adapters act in training and in fused kernels, and add nothing at first."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.models.encoders.tiny_transformers import FAMILIES
from tests.models.helpers import EMBED_DIM, IMAGE_ENCODER, TINY_CLIP
from urbancross_mm.models.finetuning.apply import apply_finetuning
from urbancross_mm.models.finetuning.branches import (
    AdapterBranch,
    LoRABranch,
    add_adapter,
    add_lora,
    takes_lora,
)
from urbancross_mm.models.finetuning.state import merge_lora
from urbancross_mm.registry import MODELS

LORA = dict(lora=dict(rank=2))
ADAPTER = dict(adapter=dict(width=4))


def encoder(kind: str, folder: Path) -> tuple[nn.Module, Tensor]:
    """An encoder, and a batch for it."""
    torch.manual_seed(0)
    images, tokens = torch.randn(3, 3, 32, 32), torch.randint(3, 13, (3, 6))
    vit = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
    configs: dict[str, Any] = {
        'open_clip image': IMAGE_ENCODER,
        'open_clip text': dict(type='OpenCLIPTextEncoder', model_cfg=TINY_CLIP),
        'mmpretrain': dict(
            type='BackboneEncoder',
            embed_dim=EMBED_DIM,
            probe_size=32,
            pool='cls',
            backbone=dict(
                type='mmpretrain.VisionTransformer', arch=vit, img_size=32, out_type='raw'
            ),
        ),
        'mmseg': dict(
            type='BackboneEncoder',
            embed_dim=EMBED_DIM,
            probe_size=32,
            backbone=dict(
                type='mmseg.MixVisionTransformer',
                embed_dims=8,
                num_layers=[1, 1, 1, 1],
                num_heads=[1, 1, 2, 2],
                drop_path_rate=0.0,
            ),
        ),
    }
    if kind == 'BERT':
        cfg = dict(type='HuggingFaceTextEncoder', path=FAMILIES['bert'].save(folder), embed_dim=8)
        return MODELS.build(cfg), tokens
    if kind == 'SigLIP':
        cfg = dict(
            type='HuggingFaceImageEncoder', path=FAMILIES['siglip'].save(folder), pool='pooler'
        )
        return MODELS.build(cfg), images
    built = MODELS.build(configs[kind])
    return built, torch.randint(1, 63, (3, 8)) if 'text' in kind else images


def outputs(part: nn.Module, inputs: Tensor) -> list[Tensor]:
    """In training, in a test with and in one without a graph, where kernels are fused."""
    results = [part.train()(inputs).detach(), part.eval()(inputs).detach()]
    with torch.no_grad():
        return [*results, part(inputs)]


KINDS = ['open_clip image', 'open_clip text', 'mmpretrain', 'mmseg', 'BERT', 'SigLIP']


def finetuned(kind: str, folder: Path, **options: Any) -> tuple[nn.Module, nn.Module, Tensor]:
    """The encoder as it was, the same with branches, and a batch."""
    plain, inputs = encoder(kind, folder)
    holder = nn.ModuleDict(dict(image_encoder=copy.deepcopy(plain)))
    apply_finetuning(holder, dict(image_encoder=options))
    return plain, holder['image_encoder'], inputs


def moved(part: nn.Module) -> nn.Module:
    """As if trained: no branch is 0."""
    torch.manual_seed(5)
    for branch in part.modules():
        if isinstance(branch, LoRABranch | AdapterBranch):
            nn.init.normal_(branch.up, std=0.1)
    return part


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('options', [LORA, ADAPTER], ids=['lora', 'adapter'])
def test_new_branches_change_nothing_and_trained_ones_do(
    kind: str, options: dict, tmp_path: Path
) -> None:
    plain, part, inputs = finetuned(kind, tmp_path, **options)
    first = int(kind == 'BERT')  # with dropout in training
    for got, expected in zip(outputs(part, inputs)[first:], outputs(plain, inputs)[first:]):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    for got, expected in zip(outputs(moved(part), inputs), outputs(plain, inputs)):
        assert (got - expected).norm() > 1e-3 * expected.norm()


@pytest.mark.parametrize('kind', KINDS)
def test_merged_lora_is_the_plain_encoder(kind: str, tmp_path: Path) -> None:
    plain, part, inputs = finetuned(kind, tmp_path, **LORA)
    expected = outputs(moved(part), inputs)[1:]
    weights = dict(part.state_dict())
    assert set(weights) > set(plain.state_dict())
    assert merge_lora(weights)
    assert set(weights) == set(plain.state_dict())
    plain.load_state_dict(weights)
    for got, wanted in zip(outputs(plain, inputs)[1:], expected):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('options', [LORA, ADAPTER], ids=['lora', 'adapter'])
def test_each_branch_gets_a_gradient(kind: str, options: dict, tmp_path: Path) -> None:
    """A weight without one stops DistributedDataParallel."""
    _, part, inputs = finetuned(kind, tmp_path, **options)
    moved(part).train()(inputs).square().sum().backward()
    trained = {name: p for name, p in part.named_parameters() if p.requires_grad}
    assert {name for name, p in trained.items() if p.grad is None} == set()
    assert all('lora' in n or 'adapter' in n or n.startswith('projection') for n in trained)
    ups = [p.grad for name, p in trained.items() if name.endswith('.up')]
    assert ups and all(grad.abs().sum() > 0 for grad in ups)


def test_a_copy_uses_its_own_branches(tmp_path: Path) -> None:
    _, part, inputs = finetuned('open_clip image', tmp_path, **LORA, **ADAPTER)
    before, clone = outputs(part, inputs)[2], copy.deepcopy(part)
    moved(clone)
    assert torch.equal(outputs(part, inputs)[2], before)
    assert not torch.allclose(outputs(clone, inputs)[2], before, atol=1e-4)


@pytest.mark.parametrize('needs_weights', [True, False])
def test_lora_in_the_attention_of_torch(needs_weights: bool) -> None:
    """Queries, keys, values and output are those of the summed matrices, in fused kernels too."""
    torch.manual_seed(0)
    plain = nn.MultiheadAttention(8, 2, batch_first=True)
    layer, tokens = copy.deepcopy(plain), torch.randn(2, 3, 8)
    add_lora(layer, 2, 4, 0.0)
    add_lora(layer.out_proj, 2, 4, 0.0)
    moved(layer)
    with torch.no_grad():
        plain.in_proj_weight += 2 * layer.lora.up @ layer.lora.down
        plain.out_proj.weight += 2 * layer.out_proj.lora.up @ layer.out_proj.lora.down
        for mode in (True, False):
            got, expected = (
                part.train(mode)(tokens, tokens, tokens, need_weights=needs_weights)[0]
                for part in (layer, plain)
            )
            torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    assert list(plain.state_dict()) == [n for n in layer.state_dict() if 'lora' not in n]
    assert layer.to(torch.float64).in_proj_weight.dtype == torch.float64


def test_what_takes_lora() -> None:
    assert takes_lora(nn.Linear(2, 2)) and takes_lora(nn.MultiheadAttention(4, 2))
    assert not takes_lora(nn.Conv2d(2, 2, 1))
    assert not takes_lora(nn.MultiheadAttention(4, 2, kdim=3, vdim=3))


def test_dropout_acts_in_training_alone() -> None:
    torch.manual_seed(0)
    layer, inputs = nn.Linear(4, 3), torch.randn(50, 4)
    plain = copy.deepcopy(layer)
    add_lora(layer, 2, 2, 0.5)
    moved(layer)
    first, second = layer.train()(inputs), layer(inputs)
    assert not torch.allclose(first, second)
    assert torch.equal(layer.eval()(inputs), layer(inputs))
    assert not torch.allclose(layer(inputs), plain(inputs))
    with pytest.raises(ValueError, match=r'dropout=0\.5 .*attention of torch'):
        add_lora(nn.MultiheadAttention(4, 2), 2, 2, 0.5)


def test_adapters_beside_behind_and_with_a_part_in_common() -> None:
    torch.manual_seed(0)
    middle = nn.Parameter(torch.eye(2))
    layers = [nn.Linear(4, 4) for _ in range(3)]
    plain, inputs = copy.deepcopy(layers), torch.randn(5, 4)
    for layer, parallel, common in zip(layers, (False, True, False), (None, None, middle)):
        add_adapter(layer, 2, parallel, common, owner=common is middle)
        moved(layer)
        layer.adapter.gate.data.fill_(0.5)
    for layer, before in zip(layers, plain):
        out, adapter = before(inputs), layer.adapter
        hidden = nn.functional.gelu((inputs if adapter.parallel else out) @ adapter.down.T)
        if hasattr(adapter, 'middle'):
            hidden = nn.functional.gelu(hidden @ middle)
        torch.testing.assert_close(layer(inputs), out + 0.5 * hidden @ adapter.up.T)
    with pytest.raises(ValueError, match=r'4 channels got \(1, 4, 3\)'):
        layers[0].adapter(torch.zeros(1, 4, 3))
    with pytest.raises(ValueError, match='no linear layer in the Conv2d'):
        add_adapter(nn.Conv2d(2, 2, 1), 2, False, None)
