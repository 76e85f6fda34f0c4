"""Segments: padding, the modes of their tower, fusion, checkpoints."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.runner.checkpoint import load_state_dict

from tests.models.helpers import EMBED_DIM, IMAGE_ENCODER, batch, cross_modal, has_grad, total
from tests.models.helpers import urbancross as build

BACKBONE = dict(
    type='BackboneEncoder',
    embed_dim=EMBED_DIM,
    in_channels=64,
    backbone=dict(type='mmpretrain.ResNet', depth=18, base_channels=8),
)


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    pairs = zip(first.state_dict().items(), second.state_dict().items())
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def step(model: torch.nn.Module, lr: float = 0.1) -> None:
    inputs, samples = batch()
    trained = [p for p in model.parameters() if p.requires_grad]
    total(model(inputs, samples, mode='loss')).backward()
    torch.optim.SGD(trained, lr).step()


@pytest.mark.parametrize('mode', ['frozen', 'trainable', 'shared'])
def test_loss_has_both_terms(mode: str) -> None:
    inputs, samples = batch()
    losses = build(mode)(inputs, samples, mode='loss')
    assert set(losses) == {'loss_image_text', 'loss_segment_text'}
    assert all(value > 0 for value in losses.values())


@pytest.mark.parametrize('mode', ['frozen', 'trainable', 'shared'])
def test_padding_moves_neither_embedding_nor_gradient(mode: str) -> None:
    model, (inputs, _) = build(mode), batch()
    results, grads = [], []
    for filler in (0.0, 100.0, float('nan')):
        mask = inputs['segment_mask'][..., None, None, None]
        segments = inputs['segments'].masked_fill(~mask, filler)
        model.zero_grad()
        pooled = model.encode_segments(segments, inputs['segment_mask'])
        results.append(pooled.detach())
        if mode != 'frozen':
            pooled[:, 0].sum().backward()
            grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for other in (1, 2):
        assert torch.equal(results[0], results[other])
        assert not grads or all(map(torch.equal, grads[0], grads[other]))
    assert mode == 'frozen' or grads[0]


def test_pooled_vector_is_the_mean_of_unit_vectors() -> None:
    model, (inputs, _) = build(), batch()
    pooled = model.encode_segments(inputs['segments'], inputs['segment_mask'])
    for row in range(4):
        valid = inputs['segments'][row][inputs['segment_mask'][row]]
        mean = model.encode_image(valid).mean(0)
        torch.testing.assert_close(pooled[row], mean / mean.norm(), rtol=1e-4, atol=1e-5)


def test_frozen_tower_stays_as_it_was() -> None:
    model = build('frozen').train()
    before = copy.deepcopy(model.segment_encoder)
    assert same(model.segment_encoder.encoder, model.image_encoder)
    assert not any(module.training for module in model.segment_encoder.modules())
    step(model)
    assert same(model.segment_encoder, before) and not has_grad(model.segment_encoder)
    assert not same(model.segment_encoder.encoder, model.image_encoder)


def test_trainable_tower_goes_its_own_way() -> None:
    model = build('trainable').train()
    assert same(model.segment_encoder.encoder, model.image_encoder)
    step(model)
    assert has_grad(model.segment_encoder)
    assert not same(model.segment_encoder.encoder, model.image_encoder)


def test_shared_tower_is_the_image_tower() -> None:
    model, (inputs, _) = build('shared'), batch()
    assert len(list(model.parameters())) == len(list(cross_modal().parameters()))
    model.encode_segments(inputs['segments'], inputs['segment_mask']).sum().backward()
    assert has_grad(model.image_encoder)
    clone = copy.deepcopy(model)  # what EMA and curricula do: the copy shares its own tower
    clone.image_encoder.requires_grad_(False)
    assert not clone.encode_segments(inputs['segments'], inputs['segment_mask']).requires_grad
    assert model.encode_segments(inputs['segments'], inputs['segment_mask']).requires_grad


@pytest.mark.parametrize('mode', ['frozen', 'trainable'])
def test_tower_follows_pretrained_weights(mode: str, tmp_path: Path) -> None:
    """``init_cfg`` of a part of the image tower is loaded after the tower was copied."""
    weights = {
        f'backbone.{key}': torch.randn(value.shape) if value.is_floating_point() else value
        for key, value in build(image_encoder=BACKBONE).image_encoder.backbone.state_dict().items()
    }
    torch.save(dict(state_dict=weights), tmp_path / 'pretrained.pth')
    init_cfg = dict(
        type='Pretrained', checkpoint=str(tmp_path / 'pretrained.pth'), prefix='backbone.'
    )
    encoder = {**BACKBONE, 'backbone': {**BACKBONE['backbone'], 'init_cfg': init_cfg}}
    model = build(mode, image_encoder=encoder)
    model.init_weights()
    expected = weights['backbone.conv1.weight']
    assert torch.equal(model.image_encoder.backbone.conv1.weight, expected)
    assert torch.equal(model.segment_encoder.encoder.backbone.conv1.weight, expected)
    assert same(model.segment_encoder.encoder, model.image_encoder)


def test_checkpoint_of_the_whole_model_wins_over_the_copy(tmp_path: Path) -> None:
    """As the model's own ``init_cfg`` and as a checkpoint that is loaded or resumed."""
    trained = build('frozen')
    step(trained)
    torch.save(dict(state_dict=trained.state_dict()), tmp_path / 'whole.pth')
    model = build(
        'frozen', init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'whole.pth'))
    )
    model.init_weights()
    assert same(model, trained)
    again = build('frozen')
    again.load_state_dict(trained.state_dict())
    assert same(again, trained)


@pytest.mark.parametrize('loader', ['mmengine', 'torch'])
def test_checkpoint_without_segments_starts_the_tower(loader: str) -> None:
    plain, model = cross_modal(), build('frozen')
    if loader == 'torch':
        model.load_state_dict(plain.state_dict())
    else:
        load_state_dict(model, plain.state_dict(), strict=False)
    assert same(model.segment_encoder.encoder, plain.image_encoder)


def test_predict_ignores_segments_by_default() -> None:
    model, (inputs, samples) = build(), batch()
    plain = {key: inputs[key] for key in ('image', 'text')}
    out = model(plain, samples, mode='predict')
    expected = model.encode_image(inputs['image'])
    assert torch.equal(torch.stack([s.image_embeds for s in out]), expected)
    assert 'segment_embeds' not in out[0]


@pytest.mark.parametrize('alpha', [0.0, 0.3])
def test_fused_scores(alpha: float) -> None:
    model, (inputs, samples) = build('trainable', eval_fusion=alpha), batch()
    with torch.no_grad():
        for parameter in model.segment_encoder.parameters():
            parameter.add_(0.1)
        out = model(inputs, samples, mode='predict')
        parts = model.embed(inputs)
    texts = torch.cat([s.text_embeds for s in out])
    fused = torch.stack([s.image_embeds for s in out]) @ texts.T
    torch.testing.assert_close(
        fused,
        alpha * parts['image_embeds'] @ texts.T + (1 - alpha) * parts['segment_embeds'] @ texts.T,
    )
    assert out[0].segment_embeds.shape == (EMBED_DIM,)


def test_queries_by_text_need_no_segments() -> None:
    model, (inputs, _) = build(eval_fusion=0.5), batch()
    assert len(model({'text': inputs['text']}, mode='predict')) == 4


def test_another_encoder_for_segments() -> None:
    model = build(segment_encoder=dict(mode='trainable', encoder=BACKBONE))
    assert type(model.segment_encoder.encoder).__name__ == 'BackboneEncoder'
    model.init_weights()
    step(model)
    assert has_grad(model.segment_encoder)


def test_unit_length_under_bf16() -> None:
    model, (inputs, _) = build('trainable'), batch()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        pooled = model.embed(inputs)['segment_embeds']
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled.norm(dim=-1), torch.ones(4))


@pytest.mark.parametrize(
    'kwargs, words',
    [
        (dict(mode='free'), 'free'),
        (dict(eval_fusion=1.5), '1.5'),
        (dict(segment_encoder=dict(mode='shared', encoder=IMAGE_ENCODER)), 'no encoder of its own'),
        (dict(segment_encoder=dict(encoder={**BACKBONE, 'embed_dim': 8})), '8 wide'),
    ],
)
def test_bad_options(kwargs: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build(**kwargs)


def test_missing_segments() -> None:
    inputs, samples = batch()
    with pytest.raises(ValueError, match='needs segments'):
        build()({key: inputs[key] for key in ('image', 'text')}, samples, mode='loss')
