"""What leaves the pipeline."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.dataset import pseudo_collate

from tests.datasets.tiny import image
from urbancross_mm.datasets import PackRetrievalInputs
from urbancross_mm.models.data_preprocessor import RetrievalDataPreprocessor
from urbancross_mm.structures import RetrievalDataSample


def test_packs_tensors_and_the_record():
    results = dict(
        img=image(),
        text=torch.ones(2, 5, dtype=torch.long),
        num_segments=3,
        segment_bits=np.full((40, 48, 2), 65535, np.uint16),
        img_id='a',
        text_ids=[3, 4],
        img_shape=(40, 48),
        secret=1,
    )
    packed = PackRetrievalInputs()(results)
    inputs, sample = packed['inputs'], packed['data_samples']
    assert inputs.keys() == {'image', 'text', 'segment_bits', 'segment_count'}
    assert inputs['image'].shape == (3, 40, 48) and inputs['image'].dtype == torch.uint8
    assert np.array_equal(inputs['image'].permute(1, 2, 0).numpy(), image())
    assert inputs['segment_bits'].shape == (2, 40, 48)
    assert inputs['segment_bits'].dtype == torch.int32 and (inputs['segment_bits'] == 65535).all()
    assert inputs['segment_count'].shape == () and inputs['segment_count'] == 3
    assert all(value.is_contiguous() for value in inputs.values())
    assert isinstance(sample, RetrievalDataSample)
    assert sample.metainfo_keys() and set(sample.metainfo_keys()) == {
        'img_id',
        'text_ids',
        'img_shape',
    }


def test_packs_what_is_there():
    assert PackRetrievalInputs()(dict(img=image()))['inputs'].keys() == {'image'}
    feats = PackRetrievalInputs()(dict(image_feats=np.ones(5, np.float32)))['inputs']
    assert feats.keys() == {'image'} and feats['image'].equal(torch.ones(5))
    text = PackRetrievalInputs()(dict(text=torch.zeros(0, 5)))
    assert text['inputs'].keys() == {'text'}
    packed = PackRetrievalInputs(meta_keys=['label'])(
        dict(segment_images=np.zeros((4, 8, 9, 3), np.uint8), num_segments=1, label='x', img_id=1)
    )
    assert packed['inputs']['segment_images'].shape == (4, 3, 8, 9)
    assert packed['data_samples'].metainfo_keys() == ['label']


def test_a_class_map_travels_as_in_mmseg():
    """Packed, collated, moved, and read by mmseg's own metric."""
    from mmengine.evaluator import Evaluator
    from mmengine.structures import PixelData

    labels = [np.full((40, 48), k, np.uint8) for k in (0, 1)]
    labels[1][0] = 255
    batch = pseudo_collate(
        [PackRetrievalInputs()(dict(img=image(), gt_seg_map=one, img_id='a')) for one in labels]
    )
    assert batch['inputs'].keys() == {'image'}
    samples = RetrievalDataPreprocessor()(batch)['data_samples']
    for sample, wanted in zip(samples, labels):
        assert isinstance(sample, RetrievalDataSample)
        assert sample.gt_sem_seg.data.dtype == torch.long
        assert np.array_equal(sample.gt_sem_seg.data.numpy(), wanted[None])
        sample.pred_sem_seg = PixelData(data=torch.zeros(1, 40, 48, dtype=torch.long))
    evaluator = Evaluator([dict(type='mmseg.IoUMetric')])
    evaluator.dataset_meta = dict(classes=['a', 'b'])
    evaluator.process(data_samples=samples)
    # Of 40 rows of each class, one is ignored.
    assert evaluator.evaluate(2)['aAcc'] == round(100 * 40 / 79, 2)
