"""What trains under each option, and what a config may not say."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tests.models.helpers import EMBED_DIM, TEXT_ENCODER, TINY_CLIP, batch, cross_modal, total
from tests.models.helpers import urbancross as build_urbancross
from tests.ranks import run_on_ranks
from urbancross_mm.models.finetuning import keep_frozen_in_eval
from urbancross_mm.models.finetuning.branches import AdapterBranch

CLIP_TEXT = dict(type='OpenCLIPTextEncoder', model_cfg=TINY_CLIP)
HEAD = dict(type='RetrievalHead', loss=dict(type='InfoNCELoss'))
BACKBONE = dict(
    type='BackboneEncoder',
    embed_dim=EMBED_DIM,
    probe_size=32,
    backbone=dict(type='mmpretrain.ResNet', depth=18, base_channels=8),
)
BLOCK = 'image_encoder.tower.transformer.resblocks'


def build(**finetune: Any) -> nn.Module:
    torch.manual_seed(0)
    return cross_modal(text_encoder=CLIP_TEXT, head=HEAD, finetune=finetune)


def trained(model: nn.Module, part: str = 'image_encoder') -> set[str]:
    return {
        name for name, p in model.named_parameters() if p.requires_grad and name.startswith(part)
    }


def step(model: nn.Module) -> None:
    inputs, samples = batch()
    weights = [p for p in model.parameters() if p.requires_grad]
    total(model(inputs, samples, mode='loss')).backward()
    torch.optim.SGD(weights, 0.1).step()


VARIANTS: dict[str, dict[str, Any]] = {
    'frozen': {},
    'last block': dict(last_blocks=1),
    'BitFit': dict(bias=True),
    'norms': dict(norm=True),
    'by name': dict(also=['tower.proj', 'mlp.c_fc.weight']),
    'LoRA': dict(lora=dict(rank=2)),
    'LoRA of the attention': dict(lora=dict(rank=2, alpha=3, targets=['attn'])),
    'adapters': dict(adapter=dict(width=4)),
    'adapters and biases': dict(adapter=dict(width=4, targets=['attn', 'mlp']), bias=True),
}


@pytest.mark.parametrize('variant', VARIANTS)
def test_a_step_moves_what_trains_and_nothing_else(variant: str) -> None:
    model = build(image_encoder=VARIANTS[variant]).train()
    moving = trained(model, '')
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    step(model)
    step(model)  # what is multiplied by 0 at first moves in the second
    for name, p in model.named_parameters():
        if name.endswith('.gate') or name in moving:
            continue
        assert torch.equal(p, before[name]), name
    still = {name for name in moving if torch.equal(before[name], model.get_parameter(name))}
    assert not {name for name in still if not name.endswith(('in_proj_bias', 'embedding.weight'))}
    assert trained(model, 'text_encoder') == {
        name for name, _ in model.named_parameters() if name.startswith('text_encoder')
    }


def test_which_weights_train() -> None:
    assert trained(build(image_encoder={})) == set()
    last = trained(build(image_encoder=VARIANTS['last block']))
    assert {f'{BLOCK}.1.ln_1.weight', 'image_encoder.tower.proj'} <= last
    assert not any(name.startswith(f'{BLOCK}.0') for name in last)
    assert 'image_encoder.tower.conv1.weight' not in last
    assert trained(build(image_encoder=dict(last_blocks=0))) == set()
    biases = trained(build(image_encoder=VARIANTS['BitFit']))
    assert f'{BLOCK}.0.attn.in_proj_bias' in biases
    assert all(name.endswith('bias') for name in biases)
    norms = trained(build(image_encoder=VARIANTS['norms']))
    assert norms and all('.ln_' in name for name in norms)
    lora = trained(build(image_encoder=VARIANTS['LoRA of the attention']))
    assert len(lora) == 2 * 2 * 2 and all('.attn.' in name and '.lora.' in name for name in lora)
    adapters = trained(build(image_encoder=VARIANTS['adapters']))
    assert {name.rpartition('.adapter')[0] for name in adapters} == {f'{BLOCK}.{i}' for i in (0, 1)}


def test_several_parts_share_the_middle_of_their_adapters() -> None:
    options = dict(adapter=dict(width=4, shared=True))
    model = build(image_encoder=options, text_encoder=options)
    # Listed once, or an optimizer with options for each weight would have it twice.
    middles = [p for n, p in model.named_parameters(remove_duplicate=False) if 'middle' in n]
    assert len(middles) == 1
    clone = copy.deepcopy(model)
    before = middles[0].detach().clone()
    step(model.train())
    step(model)
    assert not torch.equal(before, middles[0])
    adapters = [part for part in clone.modules() if isinstance(part, AdapterBranch)]
    assert len(adapters) == 4 and len({id(part._shared[0]) for part in adapters}) == 1
    assert adapters[0]._shared[0] is adapters[0].middle and torch.equal(adapters[0].middle, before)


def test_a_new_projection_trains_and_batch_norm_of_frozen_layers_does_not() -> None:
    model = cross_modal(
        image_encoder=BACKBONE, text_encoder=TEXT_ENCODER, finetune=dict(image_encoder={})
    ).train()
    assert trained(model) == {f'image_encoder.projection.{name}' for name in ('weight', 'bias')}
    statistics = model.image_encoder.backbone.bn1.running_mean.clone()
    step(model)
    assert torch.equal(statistics, model.image_encoder.backbone.bn1.running_mean)
    assert model.text_encoder.training and not model.image_encoder.backbone.training
    partly = cross_modal(
        image_encoder=BACKBONE,
        text_encoder=TEXT_ENCODER,
        finetune=dict(image_encoder=dict(last_blocks=1)),
    ).train()
    layers = [layer.training for layer in partly.image_encoder.backbone.layer4]
    assert layers == [False, True]


def test_frozen_dropout_is_off() -> None:
    part = nn.Sequential(
        nn.Sequential(nn.Linear(2, 2), nn.Dropout()), nn.Dropout(), nn.Linear(2, 2)
    ).train()
    part[0].requires_grad_(False)
    keep_frozen_in_eval(part)
    assert not part[0][1].training and part[1].training and part.training


@pytest.mark.parametrize(
    'finetune, message',
    [
        (dict(image=dict(bias=True)), r"'image', but .*image_encoder, text_encoder, head"),
        (dict(image_encoder=dict(biases=True)), "image_encoder: it has no option 'biases'.*bias"),
        (dict(image_encoder=8), 'image_encoder: it must be a dict.*got 8'),
        (dict(image_encoder=dict(last_blocks=3)), r'last_blocks must lie in \[0, 2\].*got 3'),
        (dict(image_encoder=dict(last_blocks=-1)), r'\[0, 2\].*got -1'),
        (dict(text_encoder=dict(lora=dict(r=8))), "text_encoder: lora has no option 'r'.*rank"),
        (dict(text_encoder=dict(lora=dict(rank=0))), 'lora.rank .*got 0'),
        (dict(text_encoder=dict(lora=8)), 'lora must be a dict of rank.*got 8'),
        (
            dict(image_encoder=dict(lora=dict(targets=['qkv']))),
            r"lora.targets has 'qkv', but no module.*attn, out_proj",
        ),
        (dict(image_encoder=dict(lora=dict(targets='attn'))), "targets must be a list.*'attn'"),
        (dict(image_encoder=dict(lora=dict(targets=['*']))), r"has '\*', which is no name"),
        (
            dict(image_encoder=dict(lora=dict(targets=['ln_1']))),
            r'no linear layer or attention in .*ln_1.*could take: .*attn',
        ),
        (dict(image_encoder=dict(adapter=dict(width=0))), 'adapter.width .*got 0'),
        (dict(image_encoder=dict(also=['gamma'])), "also has 'gamma', but no parameter.*weight"),
    ],
)
def test_bad_configs(finetune: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**finetune)


def test_a_frozen_encoder_and_one_without_blocks() -> None:
    with pytest.raises(ValueError, match="finetune must be a dict .*'lora'"):
        cross_modal(finetune='lora')
    frozen = dict(type='OpenCLIPImageEncoder', model_cfg=TINY_CLIP, frozen=True)
    with pytest.raises(ValueError, match='leave out frozen=True'):
        cross_modal(image_encoder=frozen, finetune=dict(image_encoder=dict(lora={})))
    with pytest.raises(ValueError, match='lora found no linear layer'):
        cross_modal(finetune=dict(text_encoder=dict(lora={})))
    with pytest.raises(ValueError, match='adapter found no blocks'):
        cross_modal(finetune=dict(text_encoder=dict(adapter={})))


EVERYTHING = dict(
    image_encoder=dict(lora=dict(rank=2), bias=True),
    text_encoder=dict(adapter=dict(width=4), last_blocks=1),
)
ADAPTATION = dict(target='spain', losses=[dict(type='CrossDomainTripletLoss')])


def on_a_rank(rank: int, adapted: bool) -> list[torch.Tensor]:
    """Two steps within DistributedDataParallel, which stops at a weight without a gradient."""
    torch.manual_seed(0)
    options = dict(adaptation=ADAPTATION) if adapted else {}
    model = build_urbancross(
        'trainable', text_encoder=CLIP_TEXT, head=HEAD, finetune=EVERYTHING, **options
    ).train()
    wrapped = DistributedDataParallel(model)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(weights, 0.01)
    torch.manual_seed(rank)
    for _ in range(2):
        inputs, samples = batch(6)
        for row, item in enumerate(samples):
            spain = adapted and row > 3
            item.set_metainfo(
                dict(img_id=f'set/{rank}{row}', domain='spain' if spain else 'finland')
            )
            if spain:
                item.set_metainfo(dict(caption_text_ids=[]))
        optimizer.zero_grad()
        total(wrapped(inputs, samples, mode='loss')).backward()
        optimizer.step()
    return [weight.detach() for weight in weights]


@pytest.mark.parametrize('adapted', [False, True])
def test_ranks_stay_equal(adapted: bool, tmp_path: Path) -> None:
    first, second = run_on_ranks(on_a_rank, tmp_path, adapted)
    assert first and all(map(torch.equal, first, second))
