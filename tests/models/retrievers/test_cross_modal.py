"""Two towers: unit length, gradient in each modality, errors."""

import pytest
import torch

from tests.models.helpers import EMBED_DIM, IMAGE_ENCODER, batch, cross_modal, has_grad, total
from urbancross_mm.models.build import build_part, check_widths


def test_unit_length_in_fp32_under_bf16() -> None:
    model, (inputs, _) = cross_modal(), batch()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        embeds = model(inputs)
    for value in embeds.values():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.norm(dim=-1), torch.ones(4))


@pytest.mark.parametrize('kept', ['image_embeds', 'text_embeds'])
def test_each_encoder_learns_from_its_own_modality(kept: str) -> None:
    model, (inputs, _) = cross_modal(), batch()
    model.embed(inputs)[kept][:, 0].sum().backward()
    assert has_grad(model.image_encoder) == (kept == 'image_embeds')
    assert has_grad(model.text_encoder) == (kept == 'text_embeds')


def test_loss_reaches_both_encoders() -> None:
    model, (inputs, samples) = cross_modal(), batch()
    losses = model(inputs, samples, mode='loss')
    assert set(losses) == {'loss_image_text'}
    total(losses).backward()
    assert has_grad(model.image_encoder) and has_grad(model.text_encoder)


def test_a_few_steps_learn_the_pairs() -> None:
    model, (inputs, samples) = cross_modal(), batch(6)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(30):
        loss = total(model(inputs, samples, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_without_head_it_encodes_but_does_not_train() -> None:
    model, (inputs, samples) = cross_modal(head=None), batch()
    assert model(inputs)['text_embeds'].shape == (4, EMBED_DIM)
    with pytest.raises(ValueError, match='without a head'):
        model(inputs, samples, mode='loss')


def test_widths_must_agree() -> None:
    text = dict(type='GRUTextEncoder', vocab_size=9, embed_dim=7)
    with pytest.raises(ValueError, match=r'7 .* 16.* model\.text_encoder\.embed_dim=16'):
        cross_modal(image_encoder=IMAGE_ENCODER, text_encoder=text)


class Released:
    embed_dim = 512


def test_of_a_released_encoder_the_other_follows_the_width() -> None:
    released = Released()
    own = build_part(dict(type='GRUTextEncoder', vocab_size=9, embed_dim=7), 'text encoder')
    check_widths({'text_encoder': own, 'image_encoder': own})
    with pytest.raises(ValueError, match=r'model\.image_encoder\.embed_dim=512'):
        check_widths({'text_encoder': released, 'image_encoder': own})


def test_unknown_encoder() -> None:
    with pytest.raises(ValueError, match="image encoder 'OpenClipImageEncoder'"):
        cross_modal(image_encoder=dict(type='OpenClipImageEncoder'))
