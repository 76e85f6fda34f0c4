"""From the samples of a batch to what a retriever reads, on its device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor
from torch.nn.functional import interpolate, pad

from urbancross_mm.functional.segments import compose_crop, compose_white, unpack_bits
from urbancross_mm.functional.spectrogram import mask_boxes
from urbancross_mm.models.image_views import ImageViews
from urbancross_mm.models.spectrogram import LogMelSpectrogram
from urbancross_mm.registry import MODELS

# Mean and standard deviation of R, G, B on the scale 0 to 255.
STATISTICS = dict(
    clip=((122.7709383, 116.7460125, 104.09373615), (68.5005327, 66.6321579, 70.32316305)),
    imagenet=((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
)
SEGMENT_MODES = ('white', 'crop')
# Samples that are composed at once on a CPU.
CPU_CHUNK = 1


@MODELS.register_module()
class RetrievalDataPreprocessor(BaseDataPreprocessor):
    """Stacks a batch, moves it to the device, composes segments there and normalizes.

    Images travel as uint8 and masks as bit fields; K float images per sample exist only on the
    device. Input is what ``PackRetrievalInputs`` and mmengine's ``pseudo_collate`` make, with
    any of its keys: images alone and texts alone work too. Output ``inputs``:

    - ``image``: float, normalized, ``(B, 3, H, W)``; float feature vectors come out ``(B, C)`` as
      they went in.
    - ``text``: long, ``(N, L)``, or float features, ``(N, C)``: the rows of all samples one after
      another; N may be 0.
    - ``segments``: float, normalized, ``(B, K, 3, h, w)``, and ``segment_mask``: bool ``(B, K)``,
      false for slots without a segment. A segment that the geometry moved out of the image
      has no pixel left and counts as none; a sample that has none left gets the image itself.
    - ``image_view``: in evaluation, another view of each image, where it is asked for. Seed and
      ``img_id`` decide it, so that every evaluation has the same views.
    - ``audio``: float, normalized, ``(M, 1 or 3, mel bands, frames)``: the spectrograms of all
      samples one after another, of waveforms by :class:`LogMelSpectrogram`, low bands first; or
      images of spectrograms, normalized like images, ``(M, 3, h, w)``; M may be 0. What
      ``SpecAugment`` drew is filled with the mean.

    ``data_samples`` are handed on as they are, moved only if they hold data.

    Args:
        mean (Sequence[float] | None): Of R, G, B on the scale 0 to 255. Defaults to None.
        std (Sequence[float] | None): In the same way. Defaults to None.
        stats (str | None): Instead of mean and std: 'clip' or 'imagenet'.
            Defaults to None: 'clip' unless mean and std are given.
        num_segments (int): K, slots for segments. Defaults to 10.
        segment_mode (str): 'white' paints everything outside a mask white (as published), 'crop'
            cuts out its box. Defaults to 'white'.
        segment_size (int | Sequence[int] | None): Side, or (height, width), of a segment
            in pixels. Defaults to None: that of the image.
        spectrogram (dict | None): Config of :class:`LogMelSpectrogram`, for recordings.
            Defaults to None.
        image_view (dict | None): Arguments of :class:`ImageViews`, such as ``dict(seed=0)``.
            Defaults to None: no other view.

    Raises:
        ValueError: If an argument is unknown, or images of one batch differ in size.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        stats: str | None = None,
        num_segments: int = 10,
        segment_mode: str = 'white',
        segment_size: int | Sequence[int] | None = None,
        spectrogram: dict[str, Any] | None = None,
        image_view: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(non_blocking=True)
        mean, std = _statistics(mean, std, stats)
        self.register_buffer('mean', torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(3, 1, 1), persistent=False)
        if segment_mode not in SEGMENT_MODES:
            raise ValueError(f'segment_mode must be one of {SEGMENT_MODES}, got {segment_mode!r}')
        if num_segments < 1:
            raise ValueError(f'num_segments must be at least 1, got {num_segments}')
        self.num_segments = num_segments
        self.segment_mode = segment_mode
        self.segment_size = _size(segment_size)
        self.spectrogram: LogMelSpectrogram | None = None
        if spectrogram is not None:
            self.spectrogram = MODELS.build(dict(dict(type='LogMelSpectrogram'), **spectrogram))
        self.image_views = None if image_view is None else ImageViews(**image_view)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Prepare a batch.

        Args:
            data (dict): ``inputs`` (dict of lists, or of stacked tensors) and ``data_samples``.
            training (bool): No other views: a model that trains on them draws new ones.
                Defaults to False.

        Returns:
            dict: ``inputs`` (see the class) and ``data_samples`` (None if there are none).
        """
        raw = data['inputs']
        inputs: dict[str, Tensor] = {}
        if 'text' in raw:
            inputs['text'] = self._rows(raw['text'])
        if 'audio' in raw:
            inputs['audio'] = self._audio(raw)
        image = None
        if 'image' in raw:
            image = self._stack(raw['image'], 'image')
            # Vectors are features that were computed beforehand, no pixels.
            inputs['image'] = image if image.dim() == 2 else self.normalize(image)
            if self.image_views is not None and not training:
                samples = data.get('data_samples')
                inputs['image_view'] = self.image_views(inputs['image'], samples)
        if 'segment_bits' in raw:
            inputs.update(self._compose(image, self._stack(raw['segment_bits'], 'segment_bits')))
        elif 'segment_images' in raw:
            inputs.update(self._published(raw))
        return dict(inputs=inputs, data_samples=self._samples(data.get('data_samples')))

    def normalize(self, image: Tensor) -> Tensor:
        """Subtract the mean and divide by the standard deviation.

        Args:
            image (Tensor): uint8 or float images on the scale 0 to 255.

        Shape:
            - image, output: ``(..., 3, H, W)``.

        Returns:
            Tensor: fp32 images.
        """
        return self._normalize_into(_empty(image.shape, image.device), image)

    def _normalize_into(self, out: Tensor, image: Tensor) -> Tensor:
        return out.copy_(image).sub_(self.mean).div_(self.std)

    def _compose(self, image: Tensor | None, bits: Tensor) -> dict[str, Tensor]:
        if image is None:
            raise ValueError(
                'segment masks came without their images: the pipeline needs LoadImage'
            )
        if bits.shape[2:] != image.shape[2:]:
            raise ValueError(
                f'masks of {tuple(bits.shape[2:])} for images of '
                f'{tuple(image.shape[2:])}: the pipeline needs ResizeImage'
            )
        height, width = image.shape[2:]
        size = self.segment_size or (height, width)
        if self.segment_mode == 'white' and size != (height, width):
            image, bits = _resize(image, bits, size)
        shape = (len(image), self.num_segments, 3, *size)
        segments = _empty(shape, image.device)
        valid = torch.empty(shape[:2], dtype=torch.bool, device=image.device)
        # On a CPU a few samples at a time stay in its cache; a GPU wants the batch in one go.
        step = CPU_CHUNK if image.device.type == 'cpu' else max(len(image), 1)
        for start in range(0, len(image), step):
            rows = slice(start, start + step)
            masks, valid[rows] = self._masks(bits[rows])
            if self.segment_mode == 'white':
                painted = compose_white(image[rows], masks)
            else:
                painted = compose_crop(image[rows], masks, size)
            self._normalize_into(segments[rows], painted)
        return dict(segments=segments, segment_mask=valid)

    def _masks(self, bits: Tensor) -> tuple[Tensor, Tensor]:
        """Masks ``(B, K, H, W)`` with the fallback filled in, and which of them are segments."""
        masks = unpack_bits(bits, self.num_segments)
        # As bytes: torch's reduction over bool is 40 times as slow on a CPU.
        valid = masks.view(torch.uint8).flatten(2).amax(dim=2).bool()  # (B, K)
        empty = ~valid.any(dim=1)
        masks[:, 0] |= empty[:, None, None]
        valid[:, 0] |= empty
        return masks, valid

    def _published(self, raw: dict[str, Any]) -> dict[str, Tensor]:
        """Segments that were stored as images: ``(B, K, 3, h, w)``."""
        segments = self._stack(raw['segment_images'], 'segment_images')[:, : self.num_segments]
        count = self._stack(raw['segment_count'], 'segment_count')
        slots = torch.arange(segments.shape[1], device=segments.device)
        return dict(segments=self.normalize(segments), segment_mask=slots < count[:, None])

    def _audio(self, raw: dict[str, Any]) -> Tensor:
        """Spectrograms of waveforms, or published images of them."""
        boxes = self._rows(raw['audio_masks']) if 'audio_masks' in raw else None
        if 'audio_length' not in raw:
            images = self.normalize(self._rows(raw['audio']))
            return images if boxes is None else mask_boxes(images, boxes)
        if self.spectrogram is None:
            raise ValueError(
                'recordings came and data_preprocessor.spectrogram is None: give '
                'spectrogram=dict(), or leave LoadAudio out of the pipeline'
            )
        # Before anything moves to the device.
        self.spectrogram.check_rate(int(rate) for rate in raw.get('audio_rate', ()))
        width = max(part.shape[1] for part in raw['audio'])
        waveforms = [pad(part, (0, width - part.shape[1])) for part in raw['audio']]
        return self.spectrogram(self._rows(waveforms), self._rows(raw['audio_length']), boxes)

    def _rows(self, values: Sequence[Tensor] | Tensor) -> Tensor:
        """The rows of all samples one after another, on the device."""
        return self.cast_data(
            values.flatten(0, 1) if isinstance(values, Tensor) else torch.cat(list(values))
        )

    def _stack(self, values: Sequence[Tensor] | Tensor, name: str) -> Tensor:
        """One tensor on the device."""
        if not isinstance(values, Tensor):
            shapes = sorted({tuple(value.shape) for value in values})
            if len(shapes) > 1:
                raise ValueError(
                    f'{name} of one batch differ in shape: {shapes}; bring them to '
                    'one size in the pipeline (ResizeImage, RandomCropImage)'
                )
            # Stacked first: one copy to the device, not one per sample.
            values = torch.stack(list(values))
        return self.cast_data(values)

    def _samples(self, samples: Sequence[Any] | None) -> Sequence[Any] | None:
        """Samples that hold only meta information have nothing to move."""
        if samples is None or not any(sample.keys() for sample in samples):
            return samples
        return self.cast_data(samples)


def _empty(shape: Sequence[int], device: torch.device) -> Tensor:
    """Uninitialized floats; numpy asks the system for huge pages, which cost half as much."""
    if device.type == 'cpu':
        return torch.from_numpy(np.empty(tuple(shape), dtype=np.float32))
    return torch.empty(tuple(shape), device=device)


def _statistics(
    mean: Sequence[float] | None, std: Sequence[float] | None, stats: str | None
) -> tuple[Sequence[float], Sequence[float]]:
    if mean is None and std is None:
        stats = stats or 'clip'
        if stats not in STATISTICS:
            raise ValueError(f'stats must be one of {tuple(STATISTICS)}, got {stats!r}')
        return STATISTICS[stats]
    if mean is None or std is None or stats is not None:
        raise ValueError(
            f'give both mean and std, or stats alone; got mean={mean!r}, '
            f'std={std!r}, stats={stats!r}'
        )
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(
            f'mean and std need three values each, std positive; got {mean!r} and {std!r}'
        )
    return mean, std


def _size(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    height, width = (size, size) if isinstance(size, int) else tuple(size)
    if height < 1 or width < 1:
        raise ValueError(f'segment_size must be positive, got {size!r}')
    return height, width


def _resize(image: Tensor, bits: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """uint8 images with antialias, bit fields by the nearest pixel center."""
    resized = interpolate(image.float(), size, mode='bilinear', antialias=True)
    rows, columns = (
        ((torch.arange(new, device=bits.device) + 0.5) * (old / new)).long().clamp_(max=old - 1)
        for new, old in zip(size, bits.shape[2:])
    )
    return resized.round_().clamp_(0, 255).to(torch.uint8), bits[:, :, rows][..., columns]
