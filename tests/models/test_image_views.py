"""Views that the seed and the image decide, and views that are new each time."""

from __future__ import annotations

import pytest
import torch
from mmengine.dataset import pseudo_collate

from tests.models.helpers import IMAGE_ENCODER, TEXT_ENCODER, cross_modal, urbancross
from urbancross_mm.models import MCRN
from urbancross_mm.models.data_preprocessor import RetrievalDataPreprocessor
from urbancross_mm.models.image_views import ImageViews
from urbancross_mm.structures import RetrievalDataSample

SIDE = 32


def items(count: int = 5) -> list[dict]:
    """Images, each with an id and one text."""
    generator = torch.Generator().manual_seed(0)
    return [
        dict(
            inputs=dict(
                image=torch.randint(256, (3, SIDE, SIDE), generator=generator).byte(),
                text=torch.full((1, 8), 1 + row),
            ),
            data_samples=RetrievalDataSample(
                metainfo=dict(img_id=f'set/{row}', text_ids=[row], caption_text_ids=[row])
            ),
        )
        for row in range(count)
    ]


def views(batch: list[dict], **options: float) -> torch.Tensor:
    preprocessor = RetrievalDataPreprocessor(image_view=options)
    return preprocessor(pseudo_collate(batch))['inputs']['image_view']


def test_seed_and_image_decide_the_pixels() -> None:
    whole = views(items())
    assert torch.equal(whole, views(items()))
    torch.randn(7)  # no global generator is read
    reverse = torch.cat([views([item]) for item in reversed(items())])
    assert torch.equal(whole, reverse.flip(0))
    assert torch.equal(whole, torch.cat([views(items()[:2]), views(items()[2:])]))
    other = views(items(), seed=1)
    assert all(not torch.equal(one, two) for one, two in zip(whole, other))
    moved = items()
    moved[0]['data_samples'].set_metainfo(dict(img_id='set/other'))
    changed = [not torch.equal(one, two) for one, two in zip(whole, views(moved))]
    assert changed == [True, False, False, False, False]


def test_equal_images_of_two_ids_have_two_views() -> None:
    first, second = items(2)
    second['inputs']['image'] = first['inputs']['image']
    one, two = views([first, second], noise=0.0)
    assert not torch.equal(one, two)


def test_a_fresh_view_is_new_and_follows_the_global_seed() -> None:
    images, fresh = torch.randn(2, 3, SIDE, SIDE), ImageViews().fresh
    torch.manual_seed(3)
    first, second = fresh(images), fresh(images)
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    assert torch.equal(first, fresh(images))


def test_in_training_no_view_is_drawn_for_nothing() -> None:
    preprocessor = RetrievalDataPreprocessor(image_view=dict())
    assert 'image_view' not in preprocessor(pseudo_collate(items()), True)['inputs']


def test_options_reach_the_view() -> None:
    batch = items()
    images = RetrievalDataPreprocessor()(pseudo_collate(batch))['inputs']['image']
    still = views(batch, turn=0.0, zoom=1.0, noise=0.0)
    for image, view in zip(images, still):
        flips = [image, image.flip(1), image.flip(2), image.flip(1, 2)]
        assert any(torch.allclose(view, flip, atol=1e-4) for flip in flips)


def test_without_the_option_there_is_no_view() -> None:
    assert 'image_view' not in RetrievalDataPreprocessor()(pseudo_collate(items()))['inputs']


def test_mixed_precision_moves_no_pixel() -> None:
    images = torch.randn(2, 3, SIDE, SIDE)
    whole = ImageViews().fixed(images, ['a', 'b'])
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(whole, ImageViews().fixed(images, ['a', 'b']))


def test_features_have_views_too() -> None:
    feats = torch.randn(3, 50)
    rows = ImageViews().fixed(feats, [1, 2, 3])
    assert torch.equal(rows, ImageViews().fixed(feats, [1, 2, 3]))
    assert ((rows == 0) | (rows == feats)).all() and not torch.equal(rows, feats)


@pytest.mark.parametrize('samples', [None, [RetrievalDataSample(metainfo=dict(label='x'))]])
def test_an_image_without_id(samples: list | None) -> None:
    data = dict(inputs=dict(image=[torch.zeros(3, 4, 4)]), data_samples=samples)
    with pytest.raises(ValueError, match='image_view needs the img_id'):
        RetrievalDataPreprocessor(image_view=dict())(data)
    RetrievalDataPreprocessor(image_view=dict())(data, True)


@pytest.mark.parametrize(
    'options', [dict(seed=-1), dict(seed=0.5), dict(turn=-1), dict(zoom=0), dict(noise=-0.1)]
)
def test_bad_options(options: dict) -> None:
    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        RetrievalDataPreprocessor(image_view=options)


@pytest.mark.parametrize('kind', [cross_modal, MCRN])
def test_every_retriever_embeds_the_views_once(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    preprocessor = dict(type='urbancross_mm.RetrievalDataPreprocessor', image_view=dict(seed=4))
    model = kind(
        image_encoder=IMAGE_ENCODER, text_encoder=TEXT_ENCODER, data_preprocessor=preprocessor
    ).eval()
    encode, counts = model.encode, []

    def counted(modality: str, inputs: torch.Tensor) -> torch.Tensor:
        counts.append((modality, len(inputs)))
        return encode(modality, inputs)

    monkeypatch.setattr(model, 'encode', counted)
    with torch.no_grad():
        samples = model.val_step(pseudo_collate(items()))
        expected = encode('image', views(items(), seed=4))
    assert sorted(counts) == [('image', 5), ('image', 5), ('text', 5)]
    found = torch.stack([sample.image_view_embeds for sample in samples])
    torch.testing.assert_close(found, expected)
    assert not torch.equal(found, torch.stack([sample.image_embeds for sample in samples]))


def test_a_view_has_no_segments() -> None:
    inputs = dict(
        image=torch.randn(2, 3, SIDE, SIDE),
        image_view=torch.randn(2, 3, SIDE, SIDE),
        segments=torch.randn(2, 1, 3, SIDE, SIDE),
        segment_mask=torch.ones(2, 1, dtype=torch.bool),
    )
    assert 'image_view_embeds' in urbancross().eval().predict(inputs)[0]
    with pytest.raises(ValueError, match='needs segments'):
        urbancross(eval_fusion=0.5).eval().predict(inputs)
