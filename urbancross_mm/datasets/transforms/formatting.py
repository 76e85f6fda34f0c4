"""The last transform: tensors and the record that travels with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from torch import Tensor

from urbancross_mm.registry import TRANSFORMS
from urbancross_mm.structures import RetrievalDataSample

META_KEYS = (
    'img_id',
    'img_path',
    'domain',
    'captions',
    'caption_ids',
    'caption_text_ids',
    'text_ids',
    'texts',
    'label',
    'geo_tags',
    'lon',
    'lat',
    'ori_shape',
    'img_shape',
    'sample_idx',
    'for_retrieval',
)


@TRANSFORMS.register_module()
class PackRetrievalInputs(BaseTransform):
    """Pack an item into ``dict(inputs=..., data_samples=RetrievalDataSample)``.

    ``inputs`` has what the pipeline loaded, so one that reads only images, or only text, works
    too: ``image`` (uint8, ``(3, H, W)``, or the float32 features ``(D,)`` that ``LoadFeatures``
    set), ``text`` (long, ``(C, L)``, or float32 features ``(C, D)``), ``segment_bits`` (int32,
    ``(P, H, W)``) or ``segment_images`` (uint8, ``(K, 3, h, w)``), and with either
    ``segment_count`` (long, a scalar).

    ``gt_seg_map`` goes into the record, as mmseg has it: ``gt_sem_seg.data`` is long,
    ``(1, H, W)``.

    Args:
        meta_keys (Sequence[str]): Fields of the record; those that the item lacks are left out.
            Defaults to all that :class:`RetrievalDataSample` documents.
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack the item."""
        inputs: dict[str, Tensor] = {}
        if 'img' in results:
            inputs['image'] = _channels_first(results['img'])
        elif 'image_feats' in results:
            inputs['image'] = torch.from_numpy(results['image_feats'])
        if 'text' in results:
            inputs['text'] = results['text']
        if 'segment_bits' in results:
            # torch has next to no arithmetic for uint16, and the sign bit of int16 is in use.
            inputs['segment_bits'] = _channels_first(results['segment_bits'].astype(np.int32))
        if 'segment_images' in results:
            inputs['segment_images'] = _channels_first(results['segment_images'])
        if 'num_segments' in results:
            inputs['segment_count'] = torch.tensor(results['num_segments'])
        sample = RetrievalDataSample()
        for key in self.meta_keys:
            if key in results:
                # Given as metainfo, mmengine would copy it deeply, which takes a quarter of the
                # time of an item of features. An item is its own anyway.
                sample.set_field(results[key], key, field_type='metainfo')
        if 'gt_seg_map' in results:
            labels = torch.from_numpy(results['gt_seg_map'].astype(np.int64))
            sample.gt_sem_seg = PixelData(data=labels[None])
        return dict(inputs=inputs, data_samples=sample)


def _channels_first(array: np.ndarray) -> Tensor:
    """``(..., H, W, C)`` to a contiguous ``(..., C, H, W)`` tensor."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, -3)))
