"""The log-mel spectrogram against plain loops, and what it must not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.recordings import noise, tone
from urbancross_mm.functional.spectrogram import log_mel, mask_boxes, num_frames

N_FFT, WIN, HOP, MELS, FRAMES = 256, 100, 40, 20, 60
WINDOW = torch.hann_window(WIN)


def filters() -> torch.Tensor:
    return torch.rand(N_FFT // 2 + 1, MELS, generator=torch.Generator().manual_seed(0))


def naive(wave: np.ndarray, top_db: float = 80.0) -> np.ndarray:
    """Every frame and every frequency on its own, in float64."""
    out = np.full((MELS, FRAMES), -top_db)
    used = min(FRAMES, 1 + len(wave) // HOP)
    power = np.zeros((MELS, used))
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WIN) / WIN)
    for t in range(used):
        frame = np.zeros(WIN)
        for i in range(WIN):
            at = t * HOP + i - WIN // 2
            frame[i] = wave[at] * taper[i] if 0 <= at < len(wave) else 0
        for k in range(N_FFT // 2 + 1):
            turn = np.exp(-2j * np.pi * k * np.arange(WIN) / N_FFT)
            power[:, t] += filters()[k].numpy() * abs((frame * turn).sum()) ** 2
    out[:, :used] = np.maximum(10 * np.log10(power / power.max() + 1e-30), -top_db)
    return out


def run(*waves: np.ndarray, extra: int = 0, frames: int = FRAMES) -> torch.Tensor:
    width = max(map(len, waves)) + extra
    batch = torch.zeros(len(waves), width)
    for row, wave in zip(batch, waves):
        row[: len(wave)] = torch.from_numpy(wave)
    lengths = torch.tensor([len(wave) for wave in waves])
    return log_mel(batch, lengths, filters(), WINDOW, HOP, frames)


@pytest.mark.parametrize('length', [1, 39, 40, 517, 2360, 4000])
def test_equals_plain_loops(length):
    wave = noise(1, 4000)[:length]
    torch.testing.assert_close(
        run(wave)[0].double(), torch.from_numpy(naive(wave)), atol=2e-3, rtol=0
    )


def test_others_and_padding_make_no_difference():
    waves = [noise(0.05 * k, 8000, seed=k) for k in (1, 4, 2)]
    together = run(*waves, extra=777)
    for row, wave in zip(together, waves):
        torch.testing.assert_close(row, run(wave)[0], atol=1e-4, rtol=0)


def test_volume_makes_no_difference_and_the_loudest_point_is_0():
    wave = noise(0.2, 8000)
    out = run(wave, wave / 50)
    torch.testing.assert_close(out[0], out[1], atol=1e-3, rtol=0)
    assert out.amax(dim=(1, 2)).tolist() == [0, 0]
    assert out.min() == -80  # the frames after the end


def test_silence_is_silent_and_finite():
    out = run(np.zeros(800, 'f4'), np.zeros(0, 'f4'), noise(0.1, 8000))
    assert (out[:2] == -80).all() and out[2].max() == 0


def test_rounding_is_silence_and_a_soft_voice_is_not():
    wave = noise(0.2, 8000)
    wave = wave / np.abs(wave).max()
    out = run(wave * 1.5e-5, wave * 1e-3)  # channels that cancel leave such rounding
    assert (out[0] == -80).all() and out[1].max() == 0


def test_no_recording_at_all():
    lengths = torch.zeros(0, dtype=torch.long)
    out = log_mel(torch.zeros(0, 0), lengths, filters(), WINDOW, HOP, FRAMES)
    assert out.shape == (0, MELS, FRAMES)


def test_a_long_recording_is_cut_where_its_frames_end():
    wave = noise(1, 8000)
    torch.testing.assert_close(run(wave, frames=10), run(wave[:700], frames=10), atol=1, rtol=1)
    changed = wave.copy()
    changed[9 * HOP + N_FFT // 2 :] = 0  # no frame sees this
    assert torch.equal(run(wave, frames=10), run(changed, frames=10))


def test_number_of_frames():
    lengths = torch.tensor([0, 1, 39, 40, 10**6])
    assert num_frames(lengths, 40, 9).tolist() == [0, 1, 1, 2, 9]


def test_gradient_reaches_the_waveform():
    wave = torch.from_numpy(tone(440, 0.1, 8000))[None].requires_grad_()
    log_mel(wave, torch.tensor([800]), filters(), WINDOW, HOP, 20).sum().backward()
    assert torch.isfinite(wave.grad).all() and wave.grad.abs().sum() > 0


def test_boxes_are_filled_and_nothing_else():
    images = torch.rand(2, 3, 10, 20) + 1
    boxes = torch.tensor([[[0.0, 1.0, 0.25, 0.5]], [[0.5, 0.7, 0.0, 1.0]]])
    out = mask_boxes(images, boxes, fill=-1)
    wanted = images.clone()
    wanted[0, :, :, 5:10] = -1
    wanted[1, :, 5:7] = -1
    assert torch.equal(out, wanted)
    assert math.isclose(float(images.min()), float(images.clamp(min=1).min()))  # untouched
    assert mask_boxes(images, torch.zeros(2, 0, 4)).equal(images)
