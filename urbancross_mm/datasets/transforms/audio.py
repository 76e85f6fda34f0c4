"""Recordings of captions: waveforms, published images of spectrograms, and SpecAugment."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmengine.logging import print_log

from urbancross_mm.datasets.transforms.geometry import resize_image
from urbancross_mm.registry import TRANSFORMS
from urbancross_mm.utils.audio import read_audio
from urbancross_mm.utils.image_files import IMAGES, SOUND
from urbancross_mm.utils.images import read_image


@TRANSFORMS.register_module()
class LoadAudio(BaseTransform):
    """Decode the recordings of an item.

    Adds ``audio``, a list of float32 waveforms (mono, full scale is 1), one for each of
    ``audio_paths``, which may be missing or empty. ``spectrogram=dict()`` of the data preprocessor
    turns them into spectrograms on the batch. ``audio_rate`` is their rate, which must be that of
    the spectrogram. ``num_cut`` counts the recordings of this process
    that were longer than ``max_seconds``; the first one is logged.

    Args:
        sample_rate (int): In Hz; recordings of another rate are resampled. That of
            ``LogMelSpectrogram``. Defaults to 16000.
        max_seconds (float): Only the beginning is read of a longer recording.
            Defaults to 10.24, the width of the spectrogram.

    Raises:
        FileNotFoundError: If a recording is missing.
        ImportError: If soundfile is not installed.
        ValueError: If a recording is empty, truncated or unreadable, or an argument not positive.
    """

    def __init__(self, sample_rate: int = 16000, max_seconds: float = 10.24) -> None:
        if sample_rate < 1 or not max_seconds > 0:
            raise ValueError(
                f'sample_rate and max_seconds must be positive, got {sample_rate}, {max_seconds}'
            )
        self.sample_rate, self.max_seconds = sample_rate, max_seconds
        self.num_cut = 0

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Decode the recordings."""
        results['audio'] = [self._read(path) for path in results.get('audio_paths', ())]
        results['audio_rate'] = self.sample_rate
        return results

    def _read(self, path: str) -> np.ndarray:
        if IMAGES.fits(path):
            raise ValueError(
                f'{path} is an image, and the pipeline reads recordings (LoadAudio); '
                'LoadSpectrogramImage reads images of sound (AUDIO=images of configs/mcrn)'
            )
        waveform, seconds = read_audio(path, self.sample_rate, self.max_seconds)
        if seconds > self.max_seconds:
            if not self.num_cut:
                print_log(
                    f'LoadAudio: {path} lasts {seconds:.1f} s and the first {self.max_seconds} s '
                    'are used (max_seconds); the same goes for others, without a further message',
                    'current',
                    logging.WARNING,
                )
            self.num_cut += 1
        return waveform


@TRANSFORMS.register_module()
class LoadSpectrogramImage(BaseTransform):
    """Read recordings that were published as images of their spectrograms (JPEG, RGB).

    Adds ``audio_images``, uint8, ``(M, size, size, 3)``, one for each of ``audio_paths``; M may
    be 0. They are normalized like images. As published: ``resize=300`` and a random window of 256
    in training, ``resize=256`` in a test.

    Args:
        resize (int): Side to which an image is squashed, in pixels. Defaults to 256.
        size (int): Side of the window, drawn for each image. Defaults to 256.

    Raises:
        FileNotFoundError: If an image is missing.
        ValueError: If it cannot be decoded, or the window is larger than the image.
    """

    def __init__(self, resize: int = 256, size: int = 256) -> None:
        if not 1 <= size <= resize:
            raise ValueError(f'size must be between 1 and resize, got {size} and {resize}')
        self.resize, self.size = resize, size

    @cache_randomness
    def draw(self) -> tuple[int, int]:
        """Top and left of the window in pixels."""
        top, left = np.random.randint(self.resize - self.size + 1, size=2)
        return int(top), int(left)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read the images."""
        paths = results.get('audio_paths', ())
        images = np.zeros((len(paths), self.size, self.size, 3), np.uint8)
        for row, path in enumerate(paths):
            if SOUND.fits(path):
                raise ValueError(
                    f'{path} is a recording, and the pipeline reads images of sound '
                    '(LoadSpectrogramImage, as --sample does); LoadAudio reads recordings '
                    '(AUDIO=recordings of configs/mcrn)'
                )
            # The window first: a test draws nothing.
            top, left = self.draw() if self.resize > self.size else (0, 0)
            whole = resize_image(read_image(path)[0], (self.resize, self.resize), 'bilinear')
            images[row] = whole[top : top + self.size, left : left + self.size]
        results['audio_images'] = images
        return results


@TRANSFORMS.register_module()
class SpecAugment(BaseTransform):
    """Draw bands of time and of frequency that are hidden in training.

    Adds ``audio_masks``, float32, ``(M, time_masks + mel_masks, 4)``: top, bottom, left and right
    as parts of the mel bands and of the recording. The data preprocessor fills them with the mean.
    Drawn with numpy's global generator, which mmengine seeds in every worker. Stands after
    ``LoadAudio`` or ``LoadSpectrogramImage``.

    Args:
        time_masks (int): Bands of time. Defaults to 2.
        time_width (float): Largest width of one, as a part of the recording. Defaults to 0.1.
        mel_masks (int): Bands of frequency. Defaults to 2.
        mel_width (float): Largest height of one, as a part of the mel bands. Defaults to 0.2.

    Raises:
        ValueError: If a number is negative, or a width above 1.

    Reference:
        https://arxiv.org/abs/1904.08779
    """

    def __init__(
        self,
        time_masks: int = 2,
        time_width: float = 0.1,
        mel_masks: int = 2,
        mel_width: float = 0.2,
    ) -> None:
        if min(time_masks, mel_masks) < 0 or not (0 <= time_width <= 1 and 0 <= mel_width <= 1):
            raise ValueError(
                'numbers of masks must be at least 0 and widths between 0 and 1, got '
                f'{time_masks}, {time_width}, {mel_masks}, {mel_width}'
            )
        self.time_masks, self.time_width = time_masks, time_width
        self.mel_masks, self.mel_width = mel_masks, mel_width

    @cache_randomness
    def draw(self, count: int, width: float) -> np.ndarray:
        """Start and end, (count, 2), of bands up to this wide."""
        size = np.random.uniform(0, width, count)
        start = np.random.uniform(0, 1, count) * (1 - size)
        return np.stack([start, start + size], axis=-1)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw the bands."""
        key = next((key for key in ('audio', 'audio_images') if key in results), None)
        if key is None:
            raise ValueError('SpecAugment stands after LoadAudio or LoadSpectrogramImage')
        rows, number = len(results[key]), self.time_masks + self.mel_masks
        masks = np.tile(np.array([0, 1, 0, 1], np.float32), (rows, number, 1))
        for row in masks:
            row[: self.time_masks, 2:] = self.draw(self.time_masks, self.time_width)
            row[self.time_masks :, :2] = self.draw(self.mel_masks, self.mel_width)
        results['audio_masks'] = masks
        return results


AUDIO_TRANSFORMS = (LoadAudio, LoadSpectrogramImage, SpecAugment)
