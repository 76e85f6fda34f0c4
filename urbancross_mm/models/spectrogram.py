"""Log-mel spectrograms on the batch."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from urbancross_mm.functional.spectrogram import log_mel, mask_boxes, num_frames
from urbancross_mm.registry import MODELS

# Recordings whose spectra are in memory at once on a CPU.
CPU_CHUNK = 8


@MODELS.register_module()
class LogMelSpectrogram(nn.Module):
    """From recordings to images of mel bands over time, normalized.

    The defaults are those of audio transformers: frames of 25 ms every 10 ms, 128 bands on the HTK
    mel scale, 10.24 seconds. A frame is padded to ``n_fft``, since with less the lowest bands would
    hold no frequency. Loudness is relative to the loudest point of the recording, so the volume of
    a microphone makes no difference.

    It belongs to :class:`RetrievalDataPreprocessor`, as ``spectrogram=dict()``, and runs on the
    device of the model. It has no weights.

    Args:
        sample_rate (int): That of ``LoadAudio``, in Hz; another one is refused with the first
            batch. Defaults to 16000.
        num_mels (int): Bands. Defaults to 128.
        frames (int): Width of the image; longer recordings are cut, shorter ones end silent.
            Defaults to 1024.
        hop (int): Samples from one frame to the next. Defaults to 160.
        win_length (int): Samples of the Hann window. Defaults to 400.
        n_fft (int): Samples of the Fourier transform. Defaults to 1024.
        fmin (float): Lowest frequency in Hz. Defaults to 20.0.
        fmax (float | None): Highest. Defaults to None: half of the sample rate.
        top_db (float): Loudness below the loudest point that counts as silence, in decibel.
            Defaults to 80.0.
        mean (float): Of the decibels, subtracted. Defaults to -47.0, that of spoken captions.
        std (float): Of the decibels, divided by. Defaults to 20.0.
        channels (int): 1, or 3 equal ones for a backbone that was trained on color.
            Defaults to 1.

    Raises:
        ValueError: If a number is not possible.
    """

    filters: Tensor
    window: Tensor

    def __init__(
        self,
        sample_rate: int = 16000,
        num_mels: int = 128,
        frames: int = 1024,
        hop: int = 160,
        win_length: int = 400,
        n_fft: int = 1024,
        fmin: float = 20.0,
        fmax: float | None = None,
        top_db: float = 80.0,
        mean: float = -47.0,
        std: float = 20.0,
        channels: int = 1,
    ) -> None:
        super().__init__()
        counts = dict(sample_rate=sample_rate, num_mels=num_mels, frames=frames, hop=hop)
        for name, value in dict(counts, win_length=win_length, top_db=top_db, std=std).items():
            if value <= 0:
                raise ValueError(f'{name} must be positive, got {value}')
        if win_length > n_fft or n_fft % 2:
            raise ValueError(f'n_fft must be even and at least {win_length}, got {n_fft}')
        if channels not in (1, 3):
            raise ValueError(f'channels must be 1 or 3, got {channels}')
        fmax = sample_rate / 2 if fmax is None else fmax
        if not 0 <= fmin < fmax <= sample_rate / 2:
            raise ValueError(
                f'fmin and fmax must lie between 0 and {sample_rate / 2} Hz, got {fmin} and {fmax}'
            )
        self.sample_rate = sample_rate
        self.hop, self.frames, self.channels = hop, frames, channels
        self.top_db, self.mean, self.std = top_db, mean, std
        filters = _mel_filters(n_fft, num_mels, fmin, fmax, sample_rate)
        self.register_buffer('filters', filters, persistent=False)
        self.register_buffer('window', torch.hann_window(win_length), persistent=False)

    def check_rate(self, rates: Iterable[int]) -> None:
        """Refuse recordings of another rate: they would sound higher or lower.

        Args:
            rates (Iterable[int]): Of recordings, in Hz.

        Raises:
            ValueError: If one differs.
        """
        others = sorted(set(rates) - {self.sample_rate})
        if others:
            raise ValueError(
                f'recordings of {", ".join(map(str, others))} Hz for a spectrogram of '
                f'{self.sample_rate} Hz: give LoadAudio and data_preprocessor.spectrogram the same '
                'sample_rate'
            )

    def forward(self, waveforms: Tensor, lengths: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Transform a batch.

        Args:
            waveforms (Tensor): float32 recordings, padded with 0.
            lengths (Tensor): Samples of each.
            boxes (Tensor | None): What :class:`SpecAugment` drew, as parts of the bands and of
                the recording; filled with the mean. Defaults to None.

        Shape:
            - waveforms: ``(N, T)``; lengths: ``(N,)``; boxes: ``(N, B, 4)``; output:
              ``(N, channels, num_mels, frames)``, low bands first.

        Returns:
            Tensor: Normalized spectrograms.
        """
        step = CPU_CHUNK if waveforms.device.type == 'cpu' else max(len(waveforms), 1)
        # The range of loudness is too wide for half precision, in which mmengine prepares a batch
        # under mixed precision.
        with torch.autocast(waveforms.device.type, enabled=False):
            parts = [
                log_mel(part, count, self.filters, self.window, self.hop, self.frames, self.top_db)
                for part, count in zip(waveforms.split(step), lengths.split(step))
            ]
        images = (torch.cat(parts)[:, None] - self.mean) / self.std
        if boxes is not None:
            part = num_frames(lengths, self.hop, self.frames) / self.frames
            scale = torch.stack([torch.ones_like(part)] * 2 + [part] * 2, dim=-1)
            images = mask_boxes(images, boxes.to(scale) * scale[:, None])
        return images.expand(-1, self.channels, -1, -1)


def _mel_filters(n_fft: int, num_mels: int, fmin: float, fmax: float, sample_rate: int) -> Tensor:
    """Triangles of height 1, ``(n_fft / 2 + 1, num_mels)``."""
    from transformers.audio_utils import mel_filter_bank

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of empty bands, which are refused below
        bank = mel_filter_bank(
            n_fft // 2 + 1, num_mels, fmin, fmax, sample_rate, norm=None, mel_scale='htk'
        )
    filters = torch.from_numpy(bank).float()
    empty = int((filters.sum(dim=0) == 0).sum())
    if empty:
        raise ValueError(
            f'{empty} of {num_mels} mel bands hold no frequency: give a larger n_fft than {n_fft}, '
            'or fewer num_mels'
        )
    return filters
