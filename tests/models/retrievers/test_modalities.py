"""A third modality by name."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.models.helpers import EMBED_DIM, HEAD, batch, cross_modal, has_grad, total
from urbancross_mm.models import CrossModalRetriever
from urbancross_mm.structures import RetrievalDataSample

AUDIO = dict(type='FeatureEncoder', in_channels=7, embed_dim=EMBED_DIM)
PAIRS = {'image-audio': 0.5, 'text-audio': 2.0}


def build(**head: object) -> CrossModalRetriever:
    torch.manual_seed(0)
    return cross_modal(encoders=dict(audio=AUDIO), head={**HEAD, **head})


def spoken() -> tuple[dict[str, Tensor], list[RetrievalDataSample]]:
    """A recording for each caption."""
    torch.manual_seed(1)
    inputs, samples = batch()
    for i, sample in enumerate(samples):
        sample.set_metainfo(dict(audio_ids=[i], caption_audio_ids=[i]))
    return dict(inputs, audio=torch.randn(len(samples), 7)), samples


def test_all_are_unit_vectors_in_one_space() -> None:
    embeds = build().embed(spoken()[0])
    assert set(embeds) == {'image_embeds', 'text_embeds', 'audio_embeds'}
    for rows in embeds.values():
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(4))


def test_each_pair_has_its_loss_and_its_factor() -> None:
    model, (inputs, samples) = build(pairs=PAIRS), spoken()
    losses = model(inputs, samples, mode='loss')
    assert {'loss_image_text', 'loss_image_audio', 'loss_text_audio'} <= set(losses)
    embeds = model.embed(inputs)
    for pair, factor in PAIRS.items():
        first, second = (embeds[f'{name}_embeds'] for name in pair.split('-'))
        expected = factor * model.head.image_loss(first, second, torch.eye(4, dtype=torch.bool))
        torch.testing.assert_close(losses[f'loss_{pair.replace("-", "_")}'], expected)
    total(losses).backward()
    assert has_grad(model.encoders['audio'])


def test_a_model_of_two_modalities_is_what_it_was() -> None:
    torch.manual_seed(0)
    plain = cross_modal()
    inputs, samples = spoken()
    missing = build().load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing and all(name.startswith('encoders.audio.') for name in missing)
    assert not any('encoders' in name for name in plain.state_dict())
    assert set(plain(inputs, samples, mode='loss')) == {'loss_image_text'}
    torch.testing.assert_close(
        plain.embed(inputs)['image_embeds'], build().embed(inputs)['image_embeds']
    )


def test_recordings_go_to_the_samples_they_belong_to() -> None:
    model, (inputs, samples) = build().eval(), spoken()
    samples[0].set_metainfo(dict(audio_ids=[7, 8, 9]))
    samples[1].set_metainfo(dict(audio_ids=[]))
    inputs['audio'] = torch.randn(5, 7)
    filled = model(inputs, samples, mode='predict')
    assert [len(sample.audio_embeds) for sample in filled] == [3, 0, 1, 1]
    expected = model.encode('audio', inputs['audio'])
    torch.testing.assert_close(torch.cat([sample.audio_embeds for sample in filled]), expected)
    with pytest.raises(ValueError, match='5 rows of audio.* name 4'):
        samples[1].set_metainfo(dict(audio_ids=[]))
        samples[0].set_metainfo(dict(audio_ids=[7, 8]))
        model(inputs, samples, mode='predict')


def test_no_recording_at_all() -> None:
    rows = build().eval().encode('audio', torch.zeros(0, 7))
    assert rows.shape == (0, EMBED_DIM) and not rows.requires_grad


@pytest.mark.parametrize('modality', ['text', 'audio'])
def test_in_training_no_item_has_a_gradient_of_zeros(modality: str) -> None:
    """Other ranks wait for it; BatchNorm keeps its statistics."""
    model = build()
    encoder = model.encoders['audio'] if modality == 'audio' else model.text_encoder
    norm = encoder.projection = nn.Sequential(encoder.projection, nn.BatchNorm1d(EMBED_DIM))
    rows = model.encode(modality, spoken()[0][modality][:0])
    assert rows.shape == (0, EMBED_DIM) and rows.dtype == torch.float32
    rows.sum().backward()
    assert all(weight.grad is not None for weight in encoder.parameters())
    assert not any(weight.grad.any() for weight in encoder.parameters())
    assert not norm[1].running_mean.any() and norm[1].running_var.eq(1).all()
    assert norm[1].training and norm[1].momentum == 0.1
    with torch.no_grad():
        assert model.encode(modality, spoken()[0][modality][:0]).shape == (0, EMBED_DIM)


def test_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r'encoders.audio is 9 wide.*image_encoder 16'):
        cross_modal(encoders=dict(audio=dict(AUDIO, embed_dim=9)))
    with pytest.raises(ValueError, match="'audio-image'"):
        build(pairs={'audio-image': 1.0})
    inputs, samples = spoken()
    with pytest.raises(ValueError, match="'image-voice'.* no voice"):
        build(pairs={'image-voice': 1.0})(inputs, samples, mode='loss')
    with pytest.raises(ValueError, match='3 items of audio in audio_ids.* 4 embeddings'):
        samples[3].set_metainfo(dict(audio_ids=[]))
        build(pairs={'image-audio': 1.0})(inputs, samples, mode='loss')
    samples[3].set_metainfo(dict(audio_ids=[3]))
    samples[0].set_metainfo(dict(audio_ids=[1, 2]))
    with pytest.raises(ValueError, match='set/0: 1 items of text|set/0: .* 2 of audio'):
        inputs['audio'] = torch.randn(5, 7)
        samples[0].set_metainfo(dict(text_ids=[1, 2, 3]))
        inputs['text'] = torch.randint(1, 64, (6, 8))
        build(pairs={'text-audio': 1.0})(inputs, samples, mode='loss')
