"""Composition and normalization against plain loops, and odd batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from torch.nn.functional import interpolate
from torch.utils.data import default_collate

from tests.datasets.tiny import image, random_masks
from urbancross_mm.datasets import PackRetrievalInputs
from urbancross_mm.datasets.transforms.segments import pack_masks
from urbancross_mm.models.data_preprocessor import STATISTICS, RetrievalDataPreprocessor
from urbancross_mm.structures import RetrievalDataSample


def packed(seed: int, num_texts: int = 1, masks: np.ndarray | None = None) -> dict:
    results = dict(
        img=image(seed=seed),
        img_id=str(seed),
        text_ids=list(range(num_texts)),
        text=torch.full((num_texts, 4), seed),
    )
    if masks is not None:
        results.update(segment_bits=pack_masks(masks, 2), num_segments=masks.shape[2])
    return PackRetrievalInputs()(results)


def normalized(image: np.ndarray, stats: str = 'clip') -> torch.Tensor:
    mean, std = np.array(STATISTICS[stats])
    return torch.from_numpy(((image - mean) / std).transpose(2, 0, 1)).float()


def test_images_and_texts_of_an_uneven_batch():
    batch = [packed(0, 2), packed(1, 0), packed(2, 1)]
    out = RetrievalDataPreprocessor(stats='imagenet')(pseudo_collate(batch))
    wanted = torch.stack([normalized(image(seed=k), 'imagenet') for k in range(3)])
    torch.testing.assert_close(out['inputs']['image'], wanted)
    assert out['inputs']['text'].tolist() == [[0] * 4, [0] * 4, [2] * 4]
    assert out['inputs'].keys() == {'image', 'text'}
    assert all(one is two['data_samples'] for one, two in zip(out['data_samples'], batch))


@pytest.mark.parametrize('size', [None, 20])
def test_white_segments_equal_painting_each_mask(size):
    masks = [random_masks(k, seed=k) for k in (3, 1, 5)]
    batch = [packed(k, masks=m) for k, m in enumerate(masks)]
    model = RetrievalDataPreprocessor(num_segments=4, segment_size=size)
    out = model(pseudo_collate(batch))['inputs']
    assert out['segment_mask'].tolist() == [[True] * 3 + [False], [True] + [False] * 3, [True] * 4]
    assert out['segments'].shape == (3, 4, 3, *((size, size) if size else (40, 48)))
    assert out['segments'].dtype == torch.float32
    for b, mask in enumerate(masks):
        for k in range(min(4, mask.shape[2])):
            base, one = image(seed=b), mask[..., k]
            if size:  # image and mask are resized, then composed
                small = interpolate(
                    torch.from_numpy(base).permute(2, 0, 1)[None].float(),
                    size,
                    mode='bilinear',
                    antialias=True,
                )[0]
                base = small.round().permute(1, 2, 0).numpy()
                one = interpolate(torch.from_numpy(one)[None, None], size, mode='nearest-exact')[
                    0, 0
                ].numpy()
            painted = np.where(one[..., None] > 0, base, 255)
            torch.testing.assert_close(out['segments'][b, k], normalized(painted))


def test_composition_does_not_depend_on_the_chunk(monkeypatch):
    batch = pseudo_collate([packed(k, masks=random_masks(3, seed=k)) for k in range(5)])
    whole = RetrievalDataPreprocessor(num_segments=3)(batch)['inputs']
    monkeypatch.setattr('urbancross_mm.models.data_preprocessor.CPU_CHUNK', 2)
    parts = RetrievalDataPreprocessor(num_segments=3)(batch)['inputs']
    assert all(value.equal(parts[key]) for key, value in whole.items())


def test_crop_segments_show_the_box():
    mask = np.zeros((40, 48, 1), np.uint8)
    mask[10:20, 4:14] = 1
    model = RetrievalDataPreprocessor(num_segments=2, segment_mode='crop', segment_size=10)
    out = model(pseudo_collate([packed(0, masks=mask)]))['inputs']
    assert out['segments'].shape == (1, 2, 3, 10, 10)
    torch.testing.assert_close(
        out['segments'][0, 0], normalized(image()[10:20, 4:14]), atol=0.02, rtol=0
    )
    assert out['segment_mask'].tolist() == [[True, False]]


@pytest.mark.parametrize('mode', ['white', 'crop'])
def test_segments_cut_away_count_as_none(mode):
    """An empty mask would be encoded as a white image; a sample without any is itself."""
    some = random_masks(3)
    some[..., 1] = 0
    none = np.zeros((40, 48, 3), np.uint8)
    model = RetrievalDataPreprocessor(num_segments=3, segment_mode=mode)
    out = model(pseudo_collate([packed(0, masks=some), packed(1, masks=none)]))['inputs']
    assert out['segment_mask'].tolist() == [[True, False, True], [True, False, False]]
    torch.testing.assert_close(
        out['segments'][1, 0],
        normalized(image(seed=1)),
        atol=0.02 if mode == 'crop' else 1e-5,
        rtol=0,
    )


def test_published_segment_images():
    images = np.stack([image(seed=k) for k in range(4)])
    batch = [
        PackRetrievalInputs()(dict(img=image(), segment_images=images, num_segments=n))
        for n in (2, 4)
    ]
    out = RetrievalDataPreprocessor(num_segments=3)(pseudo_collate(batch))['inputs']
    assert out['segment_mask'].tolist() == [[True, True, False], [True] * 3]
    torch.testing.assert_close(out['segments'][1, 2], normalized(image(seed=2)))


def test_images_alone_and_texts_alone():
    model = RetrievalDataPreprocessor()
    alone = model(dict(inputs=dict(image=[torch.zeros(3, 4, 4, dtype=torch.uint8)] * 2)))
    assert alone['inputs'].keys() == {'image'} and alone['data_samples'] is None
    texts = model(dict(inputs=dict(text=[torch.ones(5, 7, dtype=torch.long)])))
    assert texts['inputs']['text'].shape == (5, 7)
    nothing = model(dict(inputs=dict(text=[torch.ones(0, 7, dtype=torch.long)] * 2)))
    assert nothing['inputs']['text'].shape == (0, 7)


def test_feature_vectors_pass_as_they_are():
    rows = torch.randn(3, 7)
    batch = [
        PackRetrievalInputs()(dict(image_feats=row.numpy(), text=row[None] * 2)) for row in rows
    ]
    out = RetrievalDataPreprocessor()(pseudo_collate(batch))['inputs']
    assert out['image'].equal(rows) and out['text'].equal(rows * 2)
    with pytest.raises(ValueError, match='image .*shape'):
        RetrievalDataPreprocessor()(dict(inputs=dict(image=[torch.zeros(3), torch.zeros(4)])))


def test_stacked_batches_give_the_same():
    batch = [packed(k, masks=random_masks(2)) for k in range(3)]
    model = RetrievalDataPreprocessor(num_segments=2)
    lists = model(pseudo_collate(batch))['inputs']
    stacked = model(dict(inputs=default_collate([item['inputs'] for item in batch])))['inputs']
    for key, value in lists.items():
        assert value.equal(stacked[key]), key


def test_samples_that_hold_data_move():
    sample = RetrievalDataSample(metainfo=dict(img_id='a'))
    sample.image_embeds = torch.ones(2)
    batch = dict(inputs=dict(text=[torch.ones(1, 2)]), data_samples=[sample])
    model = RetrievalDataPreprocessor().to('meta')
    assert model(batch)['data_samples'][0].image_embeds.device.type == 'meta'
    assert model(batch)['inputs']['text'].device.type == 'meta'


def test_input_is_left_alone_and_nothing_is_saved():
    image = torch.full((3, 4, 4), 7.0)
    RetrievalDataPreprocessor()(dict(inputs=dict(image=[image])))
    model = RetrievalDataPreprocessor()
    model.normalize(image)
    assert (image == 7).all()
    assert not model.state_dict()  # statistics are config, not weights


def test_uneven_sizes_are_named():
    images = [torch.zeros(3, 4, 4), torch.zeros(3, 4, 5)]
    with pytest.raises(
        ValueError,
        match=r'image .*\(3, 4, 4\), '
        r'\(3, 4, 5\).*ResizeImage',
    ):
        RetrievalDataPreprocessor()(dict(inputs=dict(image=images)))
    small = packed(0, masks=random_masks(2, 20, 24))
    with pytest.raises(ValueError, match=r'\(20, 24\) .*\(40, 48\)'):
        RetrievalDataPreprocessor()(pseudo_collate([small]))
    bits = dict(inputs=dict(segment_bits=[torch.zeros(1, 4, 4, dtype=torch.int32)]))
    with pytest.raises(ValueError, match='without their images'):
        RetrievalDataPreprocessor()(bits)


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (dict(stats='coco'), "stats must be one of .* got 'coco'"),
        (dict(mean=[1, 2, 3]), 'give both mean and std, or stats alone'),
        (dict(mean=[0] * 3, std=[1] * 3, stats='clip'), 'or stats alone'),
        (dict(mean=[0] * 3, std=[1, 1, 0]), 'std positive'),
        (dict(segment_mode='black'), "segment_mode must be one of .* got 'black'"),
        (dict(num_segments=0), 'num_segments must be at least 1, got 0'),
        (dict(segment_size=0), 'segment_size must be positive, got 0'),
    ],
)
def test_bad_arguments(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        RetrievalDataPreprocessor(**arguments)


def test_own_statistics_through_the_registry():
    from urbancross_mm.registry import MODELS

    with DefaultScope.overwrite_default_scope('urbancross_mm'):
        model = MODELS.build(dict(type='RetrievalDataPreprocessor', mean=[1, 2, 3], std=[2] * 3))
    image = torch.full((3, 1, 1), 5.0)
    assert model.normalize(image).flatten().tolist() == [2.0, 1.5, 1.0]
