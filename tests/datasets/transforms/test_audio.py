"""Recordings, images of spectrograms, and what SpecAugment draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tests.datasets.tiny import image
from tests.recordings import record, tone
from urbancross_mm.datasets import (
    LoadAudio,
    LoadSpectrogramImage,
    PackRetrievalInputs,
    SpecAugment,
)


def test_recordings_of_different_length_are_padded(tmp_path):
    paths = [record(tmp_path / f'{k}.flac', tone(440, 0.1 * k)) for k in (1, 3)]
    results = LoadAudio()(dict(audio_paths=list(map(str, paths))))
    assert [len(wave) for wave in results['audio']] == [1600, 4800]
    inputs = PackRetrievalInputs()(results)['inputs']
    assert inputs['audio'].shape == (2, 4800) and inputs['audio_length'].tolist() == [1600, 4800]
    assert not inputs['audio'][0, 1600:].any()
    assert inputs['audio'][1].equal(torch.from_numpy(results['audio'][1]))


def test_no_recording():
    inputs = PackRetrievalInputs()(SpecAugment()(LoadAudio()({})))['inputs']
    assert inputs['audio'].shape == (0, 0) and inputs['audio_length'].shape == (0,)
    assert inputs['audio_masks'].shape == (0, 4, 4)
    inputs = PackRetrievalInputs()(LoadSpectrogramImage()({}))['inputs']
    assert inputs['audio'].shape == (0, 3, 256, 256) and inputs['audio'].dtype == torch.uint8


def test_long_recordings_are_cut_counted_and_said_once(tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(
        'urbancross_mm.datasets.transforms.audio.print_log', lambda text, *_: said.append(text)
    )
    path = str(record(tmp_path / 'long.wav', tone(440, 2), 16000))
    short = str(record(tmp_path / 'short.wav', tone(440, 0.5), 16000))
    load = LoadAudio(max_seconds=0.5)
    lengths = [len(wave) for wave in load(dict(audio_paths=[path, short, path]))['audio']]
    assert lengths == [8000] * 3 and load.num_cut == 2
    assert len(said) == 1 and 'long.wav lasts 2.0 s' in said[0] and '0.5 s' in said[0]


def test_a_broken_recording_is_named(tmp_path):
    (tmp_path / 'a.wav').write_bytes(b'RIFF')
    with pytest.raises(ValueError, match=r'a\.wav cannot be decoded'):
        LoadAudio()(dict(audio_paths=[str(tmp_path / 'a.wav')]))
    with pytest.raises(FileNotFoundError, match=r'b\.wav'):
        LoadAudio()(dict(audio_paths=[str(tmp_path / 'b.wav')]))


@pytest.mark.parametrize('options', [dict(sample_rate=0), dict(max_seconds=0.0)])
def test_impossible_lengths(options):
    with pytest.raises(ValueError, match='must be positive, got .*0'):
        LoadAudio(**options)


def images(tmp_path, count: int = 3) -> dict:
    paths = []
    for seed in range(count):
        paths.append(str(tmp_path / f'{seed}.png'))
        Image.fromarray(image(90, 70, seed)).save(paths[-1])
    return dict(audio_paths=paths)


def test_pictures_are_squashed_and_a_window_is_drawn_for_each(tmp_path):
    results = images(tmp_path)
    whole = LoadSpectrogramImage(60, 60)(dict(results))['audio_images']
    assert whole.shape == (3, 60, 60, 3) and whole.dtype == np.uint8
    np.random.seed(1)
    load = LoadSpectrogramImage(60, 40)
    cut = load(dict(results))['audio_images']
    places = []
    for full, window in zip(whole, cut):
        places += [
            (top, left)
            for top in range(21)
            for left in range(21)
            if np.array_equal(full[top : top + 40, left : left + 40], window)
        ]
    assert len(set(places)) == 3
    np.random.seed(1)
    assert np.array_equal(load(dict(results))['audio_images'], cut)


def test_a_test_draws_nothing(tmp_path):
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    LoadSpectrogramImage(32, 32)(images(tmp_path))
    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize('resize, size', [(10, 20), (10, 0)])
def test_impossible_windows(resize, size):
    with pytest.raises(ValueError, match=f'got {size} and {resize}'):
        LoadSpectrogramImage(resize, size)


def test_bands_hide_no_more_than_said_and_come_from_the_generator_of_the_worker():
    augment = SpecAugment(time_masks=1, time_width=0.25, mel_masks=2, mel_width=0.5)
    results = dict(audio=[np.zeros(8, 'f4')] * 200)
    np.random.seed(3)
    masks = augment(dict(results))['audio_masks']
    assert masks.shape == (200, 3, 4) and masks.dtype == np.float32
    assert (masks >= 0).all() and (masks <= 1 + 1e-6).all()
    time, mel = masks[:, 0], masks[:, 1:]
    assert (time[:, :2] == [0, 1]).all() and (mel[..., 2:] == [0, 1]).all()
    widths, heights = time[:, 3] - time[:, 2], mel[..., 1] - mel[..., 0]
    assert 0.2 < widths.max() <= 0.2501 and 0.4 < heights.max() <= 0.5001
    assert abs(widths.mean() - 0.125) < 0.03 and len(np.unique(widths)) == 200
    assert time[:, 2].min() < 0.1 and time[:, 3].max() > 0.9
    np.random.seed(3)
    assert np.array_equal(augment(dict(results))['audio_masks'], masks)


def test_bands_need_recordings():
    with pytest.raises(ValueError, match='LoadAudio or LoadSpectrogramImage'):
        SpecAugment()({})
    for options in (dict(time_masks=-1), dict(mel_width=1.5)):
        with pytest.raises(ValueError, match=r'-1|1\.5'):
            SpecAugment(**options)
