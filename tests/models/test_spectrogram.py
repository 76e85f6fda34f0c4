"""Tones land in their band at every rate; recordings become a batch whatever their number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate

from tests.recordings import noise, record, tone
from urbancross_mm.datasets import LoadAudio, PackRetrievalInputs
from urbancross_mm.models import LogMelSpectrogram, RetrievalDataPreprocessor


def htk(hertz: float) -> float:
    return 2595 * np.log10(1 + hertz / 700)


def band_of(hertz: float, fmin: float = 20, fmax: float = 8000, bands: int = 128) -> int:
    """The band whose center is nearest on the mel scale."""
    centers = np.linspace(htk(fmin), htk(fmax), bands + 2)[1:-1]
    return int(np.abs(centers - htk(hertz)).argmin())


@pytest.mark.parametrize('rate', [8000, 11025, 16000, 22050, 44100, 48000, 96000])
def test_a_tone_of_any_rate_peaks_in_its_band(tmp_path, rate):
    for hertz in (440, 2000):
        path = record(tmp_path / f'{hertz}.wav', tone(hertz, rate=rate), rate)
        wave = torch.from_numpy(LoadAudio()(dict(audio_paths=[str(path)]))['audio'][0])
        image = LogMelSpectrogram()(wave[None], torch.tensor([len(wave)]))[0, 0]
        assert abs(int(image[:, 25].argmax()) - band_of(hertz)) <= 1


def packed(*waves: np.ndarray, **more) -> dict:
    results = dict(img_id='a', text_ids=list(range(len(waves))), audio=list(waves), **more)
    return PackRetrievalInputs()(results)


def test_rows_of_all_samples_one_after_another():
    batch = [packed(tone(300, 0.1), tone(900, 0.3)), packed(), packed(noise(0.2))]
    model = RetrievalDataPreprocessor(spectrogram=dict(frames=64, channels=3))
    out = model(pseudo_collate(batch))['inputs']
    assert out.keys() == {'audio'} and out['audio'].shape == (3, 3, 128, 64)
    assert out['audio'].dtype == torch.float32
    alone = [tone(300, 0.1), tone(900, 0.3), noise(0.2)]
    for row, wave in zip(out['audio'], alone):
        wanted = model(pseudo_collate([packed(wave)]))['inputs']['audio'][0]
        torch.testing.assert_close(row, wanted, atol=1e-4, rtol=0)
    none = model(pseudo_collate([packed(), packed()]))['inputs']['audio']
    assert none.shape == (0, 3, 128, 64)


def test_the_chunk_makes_no_difference(monkeypatch):
    waves = torch.rand(5, 3000) - 0.5
    lengths = torch.tensor([3000, 0, 1000, 2999, 3000])
    model = LogMelSpectrogram(frames=30)
    waves[2, 1000:] = waves[3, 2999:] = waves[1] = 0
    whole = model(waves, lengths)
    monkeypatch.setattr('urbancross_mm.models.spectrogram.CPU_CHUNK', 2)
    torch.testing.assert_close(model(waves, lengths), whole, atol=1e-4, rtol=0)


def test_mixed_precision_makes_no_difference():
    wave, length = torch.from_numpy(noise(0.3))[None], torch.tensor([4800])
    model = LogMelSpectrogram(frames=40)
    with torch.autocast('cpu', torch.bfloat16):
        out = model(wave, length)
    assert out.dtype == torch.float32 and out.equal(model(wave, length))


def test_normalized_as_the_arguments_say():
    wave, length = torch.from_numpy(noise(0.3))[None], torch.tensor([4800])
    plain = LogMelSpectrogram(frames=40, mean=0, std=1)(wave, length)
    assert plain.max() == 0 and plain.min() == -80
    other = LogMelSpectrogram(frames=40, mean=-40, std=4)(wave, length)
    torch.testing.assert_close(other, (plain + 40) / 4)


def test_masks_are_parts_of_the_recording():
    """Half of a recording of ten frames is five frames, however wide the image is."""
    boxes = np.array([[[0, 1, 0, 0.5], [0.25, 0.5, 0, 1]]], np.float32)
    model = RetrievalDataPreprocessor(spectrogram=dict(frames=100))
    wave = noise(0.09)  # ten frames
    out = model(pseudo_collate([packed(wave, audio_masks=boxes)]))['inputs']['audio'][0, 0]
    plain = model(pseudo_collate([packed(wave)]))['inputs']['audio'][0, 0]
    assert (out[:, :5] == 0).all() and (out[32:64, :10] == 0).all()
    assert out[:32, 5:].equal(plain[:32, 5:]) and out[:, 10:].equal(plain[:, 10:])
    assert (plain[:, :10] != 0).all()


def test_pictures_are_normalized_like_images():
    image = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    boxes = np.array([[[0, 1, 0, 0.5]], [[0, 0.25, 0, 1]]], np.float32)
    batch = [
        PackRetrievalInputs()(dict(audio_images=image, audio_masks=boxes)),
        PackRetrievalInputs()(dict(audio_images=image[:0], audio_masks=boxes[:0])),
    ]
    model = RetrievalDataPreprocessor(stats='imagenet')
    out = model(pseudo_collate(batch))['inputs']['audio']
    wanted = model.normalize(torch.from_numpy(image).permute(0, 3, 1, 2))
    wanted[0, :, :, :4] = wanted[1, :, :2] = 0
    torch.testing.assert_close(out, wanted)


def test_waveforms_without_a_spectrogram_are_refused():
    with pytest.raises(ValueError, match=r'spectrogram=dict\(\)'):
        RetrievalDataPreprocessor()(pseudo_collate([packed(noise(0.1))]))


@pytest.mark.parametrize('rate', [16000, 8000])
def test_both_rates_are_one(tmp_path, rate):
    path = record(tmp_path / 'a.wav', tone(440, rate=44100), 44100)
    load, pack = LoadAudio(sample_rate=rate), PackRetrievalInputs()
    batch = [pack(load(dict(audio_paths=paths))) for paths in ([str(path)], [])]
    assert [int(one['inputs']['audio_rate']) for one in batch] == [rate, rate]
    for own in (16000, 8000):
        model = RetrievalDataPreprocessor(spectrogram=dict(sample_rate=own, num_mels=32))
        if own == rate:
            assert len(model(pseudo_collate(batch))['inputs']['audio']) == 1
            continue
        with pytest.raises(ValueError, match=f'recordings of {rate} Hz .* {own} Hz.*sample_rate'):
            model(pseudo_collate(batch))


def test_no_key_is_added_to_checkpoints():
    assert not RetrievalDataPreprocessor(spectrogram=dict()).state_dict()


@pytest.mark.parametrize(
    'options, named',
    [
        (dict(n_fft=256, win_length=400), 'n_fft .* 400, got 256'),
        (dict(channels=2), 'channels .* 2'),
        (dict(fmax=9000.0), r'fmin and fmax .* 8000.* 9000'),
        (dict(hop=0), 'hop .* 0'),
        (dict(n_fft=400), r'of 128 mel bands hold no frequency: .* 400'),
    ],
)
def test_impossible_numbers(options, named):
    with pytest.raises(ValueError, match=named):
        LogMelSpectrogram(**options)
