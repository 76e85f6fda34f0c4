"""What every retriever writes into its data samples."""

import pytest
import torch

from tests.models.helpers import EMBED_DIM, batch, cross_modal, sample
from urbancross_mm.models.retrievers.base import split_items
from urbancross_mm.structures import RetrievalDataSample


def inputs_of(texts: int) -> tuple[dict, list]:
    """Three images: two texts, none, the rest."""
    inputs = dict(image=torch.randn(3, 3, 32, 32), text=torch.randint(1, 64, (texts, 8)))
    names = [f't{i}' for i in range(texts)]
    return inputs, [sample('s/0', names[:2]), sample('s/1', []), sample('s/2', names[2:])]


def test_predict_splits_texts_by_sample() -> None:
    model = cross_modal().eval()
    inputs, samples = inputs_of(3)
    out = model(inputs, samples, mode='predict')
    assert [s.img_id for s in out] == ['s/0', 's/1', 's/2']
    assert [tuple(s.text_embeds.shape) for s in out] == [
        (2, EMBED_DIM),
        (0, EMBED_DIM),
        (1, EMBED_DIM),
    ]
    embeds = model(inputs, mode='tensor')
    assert torch.equal(torch.cat([s.text_embeds for s in out]), embeds['text_embeds'])
    assert torch.equal(torch.stack([s.image_embeds for s in out]), embeds['image_embeds'])


def test_batch_without_any_text() -> None:
    inputs, samples = inputs_of(0)
    out = cross_modal().eval()(inputs, samples, mode='predict')
    assert all(s.text_embeds.shape == (0, EMBED_DIM) for s in out)
    assert all(s.image_embeds.shape == (EMBED_DIM,) for s in out)


@pytest.mark.parametrize('key, missing', [('image', 'text_embeds'), ('text', 'image_embeds')])
@pytest.mark.parametrize('given', [True, False])
def test_queries_of_one_kind(key: str, missing: str, given: bool) -> None:
    inputs = {key: batch(2)[0][key]}
    samples = [RetrievalDataSample(), RetrievalDataSample()] if given else None
    out = cross_modal().eval()(inputs, samples, mode='predict')
    assert len(out) == 2 and missing not in out[0]
    expected = (EMBED_DIM,) if key == 'image' else (1, EMBED_DIM)
    assert out[0].get(f'{key}_embeds').shape == expected


def test_numbers_that_do_not_match() -> None:
    model = cross_modal().eval()
    inputs, samples = inputs_of(3)
    with pytest.raises(ValueError, match='2 rows of text.* name 3'):
        split_items(torch.ones(2, 4), samples)
    with pytest.raises(ValueError, match='3 image_embeds for 1 data samples'):
        model({'image': inputs['image']}, samples[:1], mode='predict')


def test_unknown_mode() -> None:
    with pytest.raises(ValueError, match='train'):
        cross_modal()({}, mode='train')
