"""The last transform: tensors and the record that travels with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

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
    'audio_ids',
    'caption_audio_ids',
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
    ``segment_count`` (long, a scalar). Of M recordings: ``audio`` (float32 waveforms, padded,
    ``(M, T)``) with ``audio_length`` (long, ``(M,)``) and ``audio_rate`` (long, a scalar), or
    ``audio`` (uint8 images, ``(M, 3, h, w)``), and with either ``audio_masks`` (float32,
    ``(M, B, 4)``).

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
        inputs.update(_pack_audio(results))
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


def _pack_audio(results: dict[str, Any]) -> dict[str, Tensor]:
    inputs: dict[str, Tensor] = {}
    if 'audio' in results:
        waveforms = [torch.from_numpy(waveform) for waveform in results['audio']]
        inputs['audio'] = pad_sequence(waveforms, True) if waveforms else torch.zeros(0, 0)
        inputs['audio_length'] = torch.tensor([len(one) for one in waveforms], dtype=torch.long)
        if 'audio_rate' in results:
            inputs['audio_rate'] = torch.tensor(results['audio_rate'])
    elif 'audio_images' in results:
        inputs['audio'] = _channels_first(results['audio_images'])
    if 'audio_masks' in results:
        inputs['audio_masks'] = torch.from_numpy(results['audio_masks'])
    return inputs


def _channels_first(array: np.ndarray) -> Tensor:
    """``(..., H, W, C)`` to a contiguous ``(..., C, H, W)`` tensor."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, -3)))
