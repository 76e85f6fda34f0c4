"""Segmentation, attention and several scales beside the vector of an image."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.structures import PixelData
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tests.models.helpers import EMBED_DIM, IMAGE_ENCODER, cross_modal, has_grad, sample, total
from tests.models.helpers import urbancross as build_urbancross
from tests.ranks import run_on_ranks
from urbancross_mm.models import SIRS, CrossModalRetriever
from urbancross_mm.structures import RetrievalDataSample

CLASSES, SIZE = 5, 64
# BatchNorm in eval: a batch of half the images would have other statistics.
ENCODER = dict(
    type='BackboneEncoder',
    embed_dim=EMBED_DIM,
    probe_size=SIZE,
    norm_eval=True,
    backbone=dict(
        type='mmpretrain.ResNet',
        depth=18,
        base_channels=8,
        stem_channels=8,
        out_indices=(0, 1, 2, 3),
    ),
)
LITE = dict(type='LiteFPNHead', num_classes=CLASSES, channels=8, hidden_channels=4)
SSA = dict(type='SemanticSpatialAttention')
AMW = dict(type='AdaptiveMultiscaleWeighting')
ALL = dict(in_index=[0, 1, 2, 3], channels=8, num_classes=CLASSES)
HEADS = {
    'LiteFPNHead': LITE,
    'mmseg.FPNHead': ALL,
    'mmseg.SegformerHead': ALL,
    'mmseg.UPerHead': {**ALL, 'pool_scales': (1, 2)},
    'mmseg.FCNHead': dict(channels=8, num_classes=CLASSES, num_convs=1),
    'mmseg.EncHead': {**ALL, 'num_codes': 4, 'norm_cfg': dict(type='BN')},
}


def build(**pyramid: object) -> CrossModalRetriever:
    torch.manual_seed(0)
    return cross_modal(image_encoder=ENCODER, pyramid=pyramid)


def labels(seed: int, ignored: bool = False) -> Tensor:
    made = torch.Generator().manual_seed(seed)
    drawn = torch.randint(0, CLASSES, (1, SIZE, SIZE), generator=made)
    return torch.full_like(drawn, 255) if ignored else drawn


def batch(size: int = 4) -> tuple[dict[str, Tensor], list[RetrievalDataSample]]:
    """Images with a text each; every third has no class map, every fourth one without a class."""
    made = torch.Generator().manual_seed(1)
    samples = [sample(f'set/{i}', [f'text {i}']) for i in range(size)]
    for i, item in enumerate(samples):
        if i % 3 != 2:
            item.gt_sem_seg = PixelData(data=labels(i, ignored=i % 4 == 3))
    image = torch.randn(size, 3, SIZE, SIZE, generator=made)
    text = torch.randint(1, 64, (size, 8), generator=made)
    return dict(image=image, text=text), samples


def without_gradient(model: nn.Module) -> list[str]:
    return [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


@pytest.mark.parametrize('kind', list(HEADS))
def test_any_decode_head_trains_and_predicts(kind: str) -> None:
    model = build(decode_head=dict(type=kind, **HEADS[kind]) if '.' in kind else LITE).train()
    inputs, samples = batch()
    losses = model(inputs, samples, mode='loss')
    assert {'loss_image_text', 'loss_segmentation'} <= set(losses)
    total(losses).backward()
    assert without_gradient(model) == []
    with torch.no_grad():
        filled = model.eval()(inputs, samples, mode='predict')
    for item in filled:
        assert ('pred_sem_seg' in item) == ('gt_sem_seg' in item)
        if 'gt_sem_seg' in item:
            assert item.pred_sem_seg.data.shape == (1, SIZE, SIZE)
            assert item.pred_sem_seg.data.min() >= 0 and item.pred_sem_seg.data.max() < CLASSES


@pytest.mark.parametrize(
    'parts',
    [
        dict(weighting=AMW),
        dict(weighting=dict(AMW, weights='learned')),
        dict(decode_head=LITE, attention=dict(SSA, norm='bn')),
        dict(decode_head=LITE, attention=dict(SSA, norm='gn'), weighting=AMW),
        dict(masked_image=dict(type='MaskedImageHead', feature_dim=64, mask_ratio=0.3)),
    ],
    ids=['amw', 'amw-learned', 'ssa', 'sirs', 'irmim'],
)
def test_every_weight_that_is_built_trains(parts: dict) -> None:
    """DistributedDataParallel stops at weights without a gradient."""
    model = build(**parts).train()
    total(model(*batch(), mode='loss')).backward()
    assert without_gradient(model) == []


SWIN = dict(
    ENCODER,
    backbone=dict(
        type='mmpretrain.SwinTransformer',
        arch=dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1]),
        img_size=SIZE,
        window_size=2,
        out_indices=(0, 1, 2, 3),
    ),
)
FCN = dict(type='mmseg.FCNHead', **HEADS['mmseg.FCNHead'])


@pytest.mark.parametrize(
    'pyramid',
    [None, dict(weighting=AMW), dict(decode_head=FCN), dict(decode_head=FCN, attention=SSA)],
    ids=['base', 'prototype', 'last-map', 'last-map-ssa'],
)
def test_maps_that_nothing_reads_leave_no_weight_without_a_gradient(pyramid: dict | None) -> None:
    """A Swin has a norm for each map, which only that map needs."""
    model = cross_modal(image_encoder=SWIN, pyramid=pyramid).train()
    total(model(*batch(), mode='loss')).backward()
    assert without_gradient(model) == []
    norms = [name for name, p in model.named_parameters() if 'norm0' in name and p.requires_grad]
    assert bool(norms) == (pyramid == dict(weighting=AMW))


def test_a_trainable_segment_tower_has_no_weight_without_a_gradient() -> None:
    model = build_urbancross('trainable', image_encoder=SWIN, pyramid=dict(decode_head=LITE))
    inputs, samples = batch()
    inputs.update(
        segments=torch.randn(4, 2, 3, SIZE, SIZE), segment_mask=torch.ones(4, 2, dtype=torch.bool)
    )
    total(model(inputs, samples, mode='loss')).backward()
    assert without_gradient(model) == []
    assert model.image_encoder.backbone.norm0.weight.requires_grad


@pytest.mark.parametrize('kind', ['LiteFPNHead', 'mmseg.EncHead'])
@pytest.mark.parametrize('left', ['no map', 'no class'])
def test_a_batch_without_a_labeled_pixel_leaves_no_weight_without_a_gradient(
    kind: str, left: str
) -> None:
    model = build(decode_head=dict(type=kind, **HEADS[kind]) if '.' in kind else LITE).train()
    inputs, samples = batch()
    for item in samples:
        item.pop('gt_sem_seg', None)
        if left == 'no class':
            item.gt_sem_seg = PixelData(data=labels(0, ignored=True))
    total(model(inputs, samples, mode='loss')).backward()
    assert without_gradient(model) == []
    assert not has_grad(model.pyramid.decode_head)  # 0, not None


def test_the_segmentation_loss_is_over_the_images_that_have_a_map() -> None:
    model = build(decode_head=LITE).eval()
    inputs, samples = batch()
    loss = model(inputs, samples, mode='loss')['loss_segmentation']
    rows = [0, 1]  # row 2 has no map, row 3 no class
    logits = model.pyramid(inputs['image']).seg_logits[rows]
    (expected,) = model.pyramid.decode_head.loss_by_feat(
        logits, [samples[row] for row in rows]
    ).values()
    torch.testing.assert_close(loss, expected / 2)  # two tasks


def test_tasks_are_averaged_over_what_is_present() -> None:
    model = build(decode_head=LITE).eval()
    inputs, samples = batch()
    both = model(inputs, samples, mode='loss')
    for item in samples:
        item.pop('gt_sem_seg', None)
    alone = model(inputs, samples, mode='loss')
    assert alone['loss_segmentation'] == 0
    torch.testing.assert_close(alone['loss_image_text'], 2 * both['loss_image_text'])


@pytest.mark.parametrize('released', [False, True])
def test_the_ratio_of_the_tasks_depends_on_the_batch_only_as_released(released: bool) -> None:
    model = build(decode_head=LITE, divide_by_batch=released).eval()
    inputs, samples = batch(2)
    twice = {name: rows.repeat(2, 1, 1, 1)[:4] for name, rows in inputs.items() if name == 'image'}
    twice['text'] = inputs['text'].repeat(2, 1)
    copies = [sample(f'set/{i}', [f'text {i}']) for i in range(4)]
    for i, item in enumerate(copies):
        item.gt_sem_seg = samples[i % 2].gt_sem_seg
    small = model(inputs, samples, mode='loss')['loss_segmentation']
    large = model(twice, copies, mode='loss')['loss_segmentation']
    torch.testing.assert_close(large, small / 2 if released else small)


def test_a_mask_without_a_caption_adds_nothing_to_retrieval() -> None:
    model = build(decode_head=LITE).eval()
    inputs, samples = batch()
    expected = model({k: v[:3] for k, v in inputs.items()}, samples[:3], mode='loss')
    samples[3] = RetrievalDataSample(metainfo=dict(img_id='masks/0', text_ids=[]))
    samples[3].gt_sem_seg = PixelData(data=labels(7))
    losses = model(dict(inputs, text=inputs['text'][:3]), samples, mode='loss')
    torch.testing.assert_close(losses['loss_image_text'], expected['loss_image_text'])
    assert losses['loss_segmentation'] != expected['loss_segmentation']


def test_masks_alone_are_one_task() -> None:
    model = build(decode_head=LITE).eval()
    inputs, samples = batch(2)
    halved = model(inputs, samples, mode='loss')['loss_segmentation']
    for i, item in enumerate(samples):
        masks = RetrievalDataSample(metainfo=dict(img_id=f'masks/{i}', text_ids=[]))
        masks.gt_sem_seg = item.gt_sem_seg
        samples[i] = masks
    losses = model(dict(inputs, text=inputs['text'][:0]), samples, mode='loss')
    assert losses['loss_image_text'] == 0
    torch.testing.assert_close(losses['loss_segmentation'], 2 * halved)


def test_autocast_changes_no_type_of_what_is_ranked_or_trained() -> None:
    irmim = dict(type='MaskedImageHead', feature_dim=64, mask_ratio=0.3)
    model = build(decode_head=LITE, attention=SSA, weighting=AMW, masked_image=irmim)
    inputs, samples = batch()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model.train()(inputs, samples, mode='loss')
        with torch.no_grad():
            filled = model.eval()(inputs, samples, mode='predict')
    assert all(v.dtype == torch.float32 and torch.isfinite(v) for v in losses.values())
    assert {item.image_embeds.dtype for item in filled} == {torch.float32}


def test_retrieval_reaches_the_decode_head_only_through_the_attention() -> None:
    for attention in (None, SSA):
        model = build(decode_head=LITE, attention=attention).eval()
        inputs, samples = batch()
        model(inputs, samples, mode='loss')['loss_image_text'].backward()
        assert has_grad(model.pyramid.decode_head) == (attention is not None)


def test_segmentation_reaches_the_image_encoder_and_no_text() -> None:
    model = build(decode_head=LITE, attention=SSA, weighting=AMW).eval()
    model(*batch(), mode='loss')['loss_segmentation'].backward()
    assert has_grad(model.image_encoder.backbone) and not has_grad(model.text_encoder)
    assert not has_grad(model.pyramid.weighting)


def test_one_vector_an_image_however_it_is_asked_for() -> None:
    model = build(decode_head=LITE, attention=SSA, weighting=AMW).eval()
    inputs, samples = batch()
    with torch.no_grad():
        embeds = model.encode_image(inputs['image'])
        torch.testing.assert_close(model.embed(inputs)['image_embeds'], embeds)
        filled = model(inputs, samples, mode='predict')
        alone = model({'image': inputs['image'][:1]}, mode='predict')
    torch.testing.assert_close(torch.stack([item.image_embeds for item in filled]), embeds)
    torch.testing.assert_close(alone[0].image_embeds, embeds[0], rtol=1e-4, atol=1e-5)


def test_a_batch_of_one_trains() -> None:
    losses = build(decode_head=LITE, attention=SSA, weighting=AMW)(*batch(1), mode='loss')
    assert torch.isfinite(total(losses))


def test_models_without_maps_run_the_backbone_once_and_build_nothing() -> None:
    model = cross_modal(image_encoder=ENCODER)
    assert model.pyramid is None
    passes = []
    model.image_encoder.backbone.register_forward_hook(lambda *_: passes.append(1))
    inputs, _ = batch()
    model(inputs, [sample(f'set/{i}', [f'text {i}']) for i in range(4)], mode='loss')
    assert len(passes) == 1
    assert not any(name.startswith('pyramid') for name, _ in model.named_parameters())


def test_a_checkpoint_without_the_parts_fits_the_plain_model() -> None:
    full, plain = build(decode_head=LITE, weighting=AMW), cross_modal(image_encoder=ENCODER)
    result = plain.load_state_dict(full.state_dict(), strict=False)
    assert result.missing_keys == []
    assert all(name.startswith('pyramid.') for name in result.unexpected_keys)


def test_a_plain_checkpoint_starts_the_full_model() -> None:
    plain, full = cross_modal(image_encoder=ENCODER), build(decode_head=LITE, weighting=AMW)
    result = full.load_state_dict(plain.state_dict(), strict=False)
    assert result.unexpected_keys == []
    assert result.missing_keys and all(name.startswith('pyramid.') for name in result.missing_keys)


def test_urbancross_takes_the_parts_too() -> None:
    model = build_urbancross(
        'shared',
        image_encoder=ENCODER,
        pyramid=dict(decode_head=LITE, attention=SSA, weighting=AMW),
    )
    inputs, samples = batch()
    segments = torch.randn(4, 2, 3, SIZE, SIZE)
    inputs.update(segments=segments, segment_mask=torch.ones(4, 2, dtype=torch.bool))
    losses = model(inputs, samples, mode='loss')
    assert {'loss_image_text', 'loss_segment_text', 'loss_segmentation'} == set(losses)


@pytest.mark.parametrize(
    'pyramid',
    [dict(decode_head=LITE), dict(decode_head=LITE, attention=SSA, weighting=AMW)],
    ids=['head', 'sirs'],
)
@pytest.mark.parametrize('encoder', [ENCODER, SWIN], ids=['resnet', 'swin'])
def test_an_adaptation_leaves_the_tasks_alone(pyramid: dict, encoder: dict) -> None:
    adaptation = dict(target='b', losses=[dict(type='DomainDistanceLoss')])
    model = cross_modal(image_encoder=encoder, pyramid=pyramid, adaptation=adaptation)
    inputs, samples = batch()
    for i, item in enumerate(samples):
        item.set_metainfo(dict(domain='ab'[i % 2]))
        if i % 2:
            item.set_metainfo(dict(caption_text_ids=[]))
    before = [p.clone() for p in model.pyramid.decode_head.parameters()]
    losses = model(inputs, samples, mode='loss')
    assert 'loss_segmentation' not in losses
    total(losses).backward()
    torch.optim.SGD(model.parameters(), lr=1).step()
    assert all(map(torch.equal, before, model.pyramid.decode_head.parameters()))
    assert without_gradient(model) == []


def test_sirs_is_a_retriever_with_the_published_parts() -> None:
    parts = dict(image_encoder=ENCODER, text_encoder=cross_modal().text_encoder)
    model = SIRS(**parts, pyramid=dict(decode_head=LITE))
    assert model.pyramid.attention.gate == 'logit_sum' and model.pyramid.attention.pooling == 'avg'
    assert len(model.pyramid.weighting.projections) == 3
    prototype = SIRS(**parts, pyramid=dict(decode_head=None, attention=None))
    assert prototype.pyramid.attention is None and prototype.pyramid.weighting is not None
    assert SIRS(**parts, pyramid=None).pyramid is None


class Objective(nn.Module):
    """The loss of a model, as DistributedDataParallel calls it."""

    def __init__(self) -> None:
        super().__init__()
        self.model = build(decode_head=LITE, attention=SSA, weighting=AMW).train()

    def forward(self, inputs: dict[str, Tensor], samples: list) -> Tensor:
        return total(self.model(inputs, samples, mode='loss'))


def gradients(module: nn.Module, inputs: dict, samples: list) -> dict[str, Tensor]:
    module(inputs, samples).backward()
    return {name.removeprefix('module.'): p.grad for name, p in module.named_parameters()}


def on_a_rank(rank: int, first: int) -> dict[str, Tensor]:
    inputs, samples = batch(6)
    rows = slice(0, first) if rank == 0 else slice(first, 2 * first)
    part = {name: values[rows] for name, values in inputs.items()}
    return gradients(DistributedDataParallel(Objective()), part, samples[rows])


def test_two_ranks_equal_one_where_they_have_different_numbers_of_maps(tmp_path: Path) -> None:
    """Rank 0 has two maps, rank 1 one."""
    inputs, samples = batch(6)
    expected = gradients(Objective(), inputs, samples)
    for got in run_on_ranks(on_a_rank, tmp_path, 3):
        for name, value in expected.items():
            torch.testing.assert_close(got[name], value, rtol=1e-3, atol=1e-5, msg=name)


def masks_on_the_second_rank() -> tuple[dict[str, Tensor], list[RetrievalDataSample]]:
    """Two captioned images, then two class maps without captions."""
    inputs, samples = batch()
    for i in (2, 3):
        samples[i] = RetrievalDataSample(metainfo=dict(img_id=f'masks/{i}', text_ids=[]))
        samples[i].gt_sem_seg = PixelData(data=labels(i))
    return dict(inputs, text=inputs['text'][:2]), samples


def on_a_rank_of_one_kind(rank: int) -> dict[str, Tensor]:
    inputs, samples = masks_on_the_second_rank()
    rows = slice(2 * rank, 2 * rank + 2)
    text = inputs['text'][: 0 if rank else 2]
    part = dict(image=inputs['image'][rows], text=text)
    return gradients(DistributedDataParallel(Objective()), part, samples[rows])


def test_a_rank_without_captions_waits_for_nobody(tmp_path: Path) -> None:
    expected = gradients(Objective(), *masks_on_the_second_rank())
    for got in run_on_ranks(on_a_rank_of_one_kind, tmp_path):
        for name, value in expected.items():
            torch.testing.assert_close(got[name], value, rtol=1e-3, atol=1e-5, msg=name)


def test_a_class_beyond_those_of_the_head() -> None:
    inputs, samples = batch()
    samples[1].gt_sem_seg.data[0, 3, 4] = CLASSES
    samples[1].set_metainfo(dict(img_path='data/b.tif'))
    with pytest.raises(ValueError, match=r'data/b.tif has the class 5.*num_classes=5'):
        build(decode_head=LITE)(inputs, samples, mode='loss')


def test_class_weights_and_unlabeled_pixels() -> None:
    """mmseg fails in the first step otherwise, with an index error."""
    loss = dict(type='mmseg.CrossEntropyLoss', class_weight=[1.0] * CLASSES)
    with pytest.raises(ValueError, match='CrossEntropyLoss.*avg_non_ignore=False'):
        build(decode_head=dict(LITE, loss_decode=dict(loss, avg_non_ignore=True)))
    losses = build(decode_head=dict(LITE, loss_decode=loss))(*batch(), mode='loss')
    assert torch.isfinite(losses['loss_segmentation'])


def test_parts_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match='OpenCLIPImageEncoder gives no feature maps'):
        cross_modal(image_encoder=IMAGE_ENCODER, pyramid=dict(weighting=AMW))
    with pytest.raises(ValueError, match='attention needs a pyramid.decode_head'):
        build(attention=SSA)
    with pytest.raises(ValueError, match=r'in_channels=\[9, 9, 9\].*\[8, 16, 32\]'):
        build(decode_head=dict(LITE, in_channels=[9, 9, 9]))
    one_map = dict(ENCODER, backbone=dict(ENCODER['backbone'], out_indices=(3,)))
    with pytest.raises(ValueError, match=r'in_index=\[0, 1, 2\].*out_indices'):
        cross_modal(image_encoder=one_map, pyramid=dict(decode_head=LITE))
    with pytest.raises(ValueError, match=r"'mmseg.FCNHead' refuses in_index=\[0, 1\]"):
        build(decode_head=dict(FCN, in_index=[0, 1]))
    with pytest.raises(ValueError, match="decode_head 'mmseg.FPNHaed'"):
        build(decode_head=dict(type='mmseg.FPNHaed', **ALL))
