"""MCRN: a shared encoding and the losses of its second stage."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models.helpers import EMBED_DIM, TEXT_ENCODER, has_grad, total
from tests.models.helpers import sample as text_sample
from urbancross_mm.functional import modal
from urbancross_mm.models import MCRN
from urbancross_mm.structures import RetrievalDataSample

IMAGE = dict(type='FeatureEncoder', in_channels=5, embed_dim=EMBED_DIM)
AUDIO = dict(type='FeatureEncoder', in_channels=7, embed_dim=EMBED_DIM)
SHARED = dict(heads=2, hidden_dim=8)
BACKBONE = dict(
    type='mmpretrain.ResNet', depth=18, base_channels=4, stem_channels=4, out_indices=(0, 1, 2, 3)
)
ALL = dict(self_consistency=dict(), distillation=dict(), alignment=dict())


def build(**kwargs: Any) -> MCRN:
    torch.manual_seed(0)
    options = dict(encoders=dict(audio=AUDIO), shared=SHARED, dropout=0.0, head=dict())
    return MCRN(IMAGE, TEXT_ENCODER, **{**options, **kwargs})


def spoken(size: int = 4) -> tuple[dict[str, Tensor], list[RetrievalDataSample]]:
    torch.manual_seed(1)
    samples = [text_sample(f'set/{i}', [f'text {i}']) for i in range(size)]
    for i, item in enumerate(samples):
        item.set_metainfo(dict(audio_ids=[i], caption_audio_ids=[i]))
    return dict(
        image=torch.randn(size, 5),
        image_view=torch.randn(size, 5),
        text=torch.randint(1, 64, (size, 8)),
        audio=torch.randn(size, 7),
    ), samples


@pytest.mark.parametrize('modality', ['image', 'text', 'audio'])
def test_one_encoding_learns_from_each_modality(modality: str) -> None:
    model, (inputs, _) = build(), spoken()
    assert sum('memory' in name for name in model.state_dict()) == 1
    (model.encode(modality, inputs[modality])[:, 0]).sum().backward()
    assert model.shared.memory.grad.abs().sum() > 0
    encoders = dict(image=model.image_encoder, text=model.text_encoder, audio=model.encoders.audio)
    assert {name for name, part in encoders.items() if has_grad(part)} == {modality}


def test_the_embedding_is_the_shared_encoding_at_unit_length() -> None:
    model, (inputs, _) = build(dropout=0.9).eval(), spoken()
    shared = model.shared(model.encoders['audio'](inputs['audio']), 'audio')
    rows = model.encode('audio', inputs['audio'])
    torch.testing.assert_close(rows, shared / shared.norm(dim=1, keepdim=True))
    assert not torch.equal(build(dropout=0.9).encode('audio', inputs['audio']), rows)
    own = build(shared=None).eval()
    torch.testing.assert_close(
        own.encode_image(inputs['image']),
        torch.nn.functional.normalize(own.image_encoder(inputs['image'])),
    )


def test_all_losses_and_no_unused_weight() -> None:
    model, (inputs, samples) = build(**ALL), spoken()
    losses = model(inputs, samples, mode='loss')
    pairs = ['image_text', 'image_audio', 'audio_text']
    assert set(losses) == {
        'loss_image_text',
        'loss_image_audio',
        'loss_self_consistency',
        *(f'loss_{what}_{pair}' for what in ('distillation', 'alignment') for pair in pairs),
    }
    total(losses).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


def test_the_head_alone_is_the_variant_tpt() -> None:
    losses = build()(*spoken(), mode='loss')
    assert set(losses) == {'loss_image_text', 'loss_image_audio'}
    losses = build(head=dict(pairs={'text-audio': 1.0}))(*spoken(), mode='loss')
    assert set(losses) == {'loss_image_text', 'loss_text_audio'}


def test_two_modalities_only() -> None:
    model, (inputs, samples) = build(encoders=None, **ALL), spoken()
    losses = model(inputs, samples, mode='loss')
    assert set(losses) == {
        'loss_image_text',
        'loss_self_consistency',
        'loss_distillation_image_text',
        'loss_alignment_image_text',
    }
    assert model.modalities == ('image', 'text')


def test_released_factors_by_hand() -> None:
    model, (inputs, samples) = build(released=True, **ALL).eval(), spoken()
    losses = model(inputs, samples, mode='loss')
    v, t, a, v2 = (
        model.feats(name.split('_')[0], inputs[name])
        for name in ('image', 'text', 'audio', 'image_view')
    )

    def ranking(first: Tensor, second: Tensor) -> Tensor:
        scores = first @ second.t() / first.norm(dim=1)[:, None] / second.norm(dim=1)
        own = scores.diagonal()
        hinge = (0.2 + scores - own[:, None]).clamp(min=0) + (0.2 + scores - own).clamp(min=0)
        return 0.5 * (hinge.sum() - hinge.diagonal().sum())

    def divergence(student: Tensor, teacher: Tensor) -> Tensor:
        q, p = (feats / 0.2 for feats in (student, teacher))
        q, p = q.softmax(1), p.softmax(1)
        return 1000 * (p * (p / q).log()).mean()

    expected = dict(
        loss_image_text=ranking(v, t),
        loss_image_audio=ranking(v, a),
        loss_self_consistency=1000 * (v - v2).square().mean(),
        loss_distillation_image_text=divergence(v, t),
        loss_distillation_image_audio=divergence(v, a),
        loss_distillation_audio_text=divergence(a, t),
        loss_alignment_image_text=1000 * (v - t).square().mean(),
        loss_alignment_image_audio=1000 * (v - a).square().mean(),
        loss_alignment_audio_text=1000 * (a - t).square().mean(),
    )
    torch.testing.assert_close(losses, expected, rtol=1e-3, atol=1e-4)
    assert model.distillation.detach is False and build(**ALL).distillation.detach is True


def test_no_loss_grows_with_the_batch() -> None:
    model = build(**ALL).eval()
    inputs, samples = spoken()
    twice = {name: torch.cat([rows, rows]) for name, rows in inputs.items()}
    copies = [text_sample(f'copy/{i}', [f'text {i}']) for i in range(4)]
    for i, item in enumerate(copies):
        item.set_metainfo(dict(audio_ids=[i], caption_audio_ids=[i]))
    once, double = model(inputs, samples, mode='loss'), model(twice, samples + copies, mode='loss')
    torch.testing.assert_close(double, once)
    released = build(released=True, **ALL).eval()
    once = released(inputs, samples, mode='loss')['loss_image_text']
    double = released(twice, samples + copies, mode='loss')['loss_image_text']
    torch.testing.assert_close(double, 4 * once)


def test_several_items_of_an_image() -> None:
    model, (inputs, samples) = build(**ALL).eval(), spoken(2)
    samples[0].set_metainfo(
        dict(text_ids=[1, 2], audio_ids=[1, 2], caption_text_ids=[1, 2], caption_audio_ids=[1, 2])
    )
    samples[1].set_metainfo(dict(audio_ids=[]))
    inputs['text'] = torch.randint(1, 64, (3, 8))
    losses = model(inputs, samples, mode='loss')
    v, t, a = (model.feats(name, inputs[name]) for name in ('image', 'text', 'audio'))
    aligned = {
        'image_text': modal.consistency(v[[0, 0, 1]], t),
        'image_audio': modal.consistency(v[[0, 0]], a),
        'audio_text': modal.consistency(a, t[:2]),
    }
    for pair, value in aligned.items():
        torch.testing.assert_close(losses[f'loss_alignment_{pair}'], 0.25 * value)


def test_one_image_and_no_recording() -> None:
    model, (inputs, samples) = build(**ALL), spoken(1)
    inputs['audio'] = torch.zeros(0, 7)
    samples[0].set_metainfo(dict(audio_ids=[]))
    losses = model(inputs, samples, mode='loss')
    assert all(value.isfinite() for value in losses.values())
    assert losses['loss_alignment_image_audio'] == 0
    (filled,) = model.eval()(inputs, samples, mode='predict')
    assert filled.image_embeds.shape == (EMBED_DIM,) and len(filled.audio_embeds) == 0


def test_a_second_view_is_drawn_where_none_came() -> None:
    model, (inputs, samples) = build(self_consistency=dict()).eval(), spoken()
    del inputs['image_view']
    assert model(inputs, samples, mode='loss')['loss_self_consistency'] > 0
    inputs['image_view'] = inputs['image']
    assert model(inputs, samples, mode='loss')['loss_self_consistency'] == 0


def test_it_cannot_be_adapted() -> None:
    with pytest.raises(ValueError, match='MCRN cannot be adapted.*CrossModalRetriever'):
        build().add_adaptation({})


def test_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match='shared.embed_dim is 8.*16 wide'):
        build(shared=dict(SHARED, embed_dim=8))
    with pytest.raises(ValueError, match='MCRN was built without a head'):
        build(head=None)(*spoken(), mode='loss')
    maps = dict(type='BackboneEncoder', embed_dim=EMBED_DIM, probe_size=32, backbone=BACKBONE)
    head = dict(type='LiteFPNHead', num_classes=3, channels=8, hidden_channels=4)
    with pytest.raises(ValueError, match='no decode_head'):
        MCRN(maps, TEXT_ENCODER, pyramid=dict(decode_head=head))
