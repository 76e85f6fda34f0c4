"""The options of a retriever together: each was made to leave the others alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.models.helpers import cross_modal
from tests.models.test_gradient_cache import check_equal, inputs_of, model, step
from urbancross_mm.utils.state_dicts import check_state_dict

SAVING: dict[str, Any] = dict(
    gradient_cache=2, activation_checkpointing=['image_encoder', 'text_encoder']
)
LORA = dict(lora=dict(rank=2))
ADAPTER = dict(adapter=dict(width=4, shared=True))


def build(kind: str, part: dict[str, Any], **options: Any) -> nn.Module:
    """With updates that are not 0, as after some steps."""
    built = model(kind, finetune=dict(image_encoder=part, text_encoder=part), **options)
    torch.manual_seed(2)
    for name, weight in built.named_parameters():
        if name.endswith('.up'):
            nn.init.normal_(weight, std=0.1)
    return built


def by_sentence(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every other text has two sentences."""
    text = inputs['text']
    rows = text.new_full((len(text), 3, text.shape[1]), -1)
    rows[:, 0], rows[::2, 1] = text, text.flip(0)[::2]
    return dict(inputs, text=rows)


@pytest.mark.parametrize('part', [LORA, ADAPTER, dict(last_blocks=1)], ids=str)
@pytest.mark.parametrize('kind', ['frozen', 'trainable', 'shared'])
def test_what_saves_memory_changes_no_gradient(kind: str, part: dict[str, Any]) -> None:
    """Sentences, segments, fine-tuning, both ways to save memory, and a copy of it all."""
    inputs, samples = inputs_of()
    inputs = by_sentence(inputs)
    expected = step(build(kind, part), inputs, samples)
    saving = build(kind, part, **SAVING)
    copied = copy.deepcopy(saving)
    check_equal(step(saving, inputs, samples), expected)
    check_equal(step(copied, inputs, samples), expected)


@pytest.mark.parametrize('part', [LORA, ADAPTER], ids=str)
@pytest.mark.parametrize('kind', ['frozen', 'trainable', 'shared'])
def test_a_tuned_checkpoint_without_segments_fits(kind: str, part: dict[str, Any]) -> None:
    """The segment tower starts as the image tower, adapters apart: they stay in their tower."""
    source, tuned = build('plain', part), model(kind, finetune=dict(image_encoder=part))
    weights = tuned.own_weights(source.state_dict())
    check_state_dict(tuned, weights, 'run.pth')
    if part is ADAPTER:
        weights = {name: v for name, v in weights.items() if not name.startswith('text_encoder')}
    tuned.load_state_dict(weights, strict=False)
    image = inputs_of()[0]['image']
    torch.testing.assert_close(tuned.eval().encode_image(image), source.eval().encode_image(image))
    if kind != 'shared':
        plain = cross_modal(text_encoder=source.text_encoder)
        lora = part is LORA
        plain.load_state_dict(
            {n: v for n, v in source.state_dict().items() if lora or '.adapter.' not in n},
            strict=False,
        )
        torch.testing.assert_close(
            tuned.segment_encoder.encoder(image), plain.eval().image_encoder(image)
        )
