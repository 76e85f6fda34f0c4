"""Every kind of recording becomes mono samples, and a broken one is named."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest

from tests.recordings import noise, record, tone
from urbancross_mm.utils.audio import measure_audio, read_audio, resample


@pytest.mark.parametrize(
    'name, subtype, error',
    [
        ('a.wav', 'PCM_16', 1e-4),
        ('a.wav', 'PCM_U8', 1e-2),
        ('a.wav', 'FLOAT', 1e-7),
        ('a.flac', 'PCM_16', 1e-4),
        ('a.ogg', 'VORBIS', 0.05),
    ],
)
@pytest.mark.parametrize('channels', [1, 2])
def test_formats_and_channels(tmp_path, name, subtype, error, channels):
    parts = [tone(440), tone(1000)][:channels]
    path = record(tmp_path / name, np.stack(parts, axis=1), subtype=subtype)
    samples, seconds = read_audio(str(path))
    assert samples.dtype == np.float32 and seconds == 0.5
    assert np.abs(samples - np.mean(parts, axis=0)).max() < error
    measured, peak = measure_audio(str(path))
    assert measured == 0.5 and peak == pytest.approx(np.abs(samples).max(), abs=error)


@pytest.mark.parametrize('rate', [8000, 22050, 44100, 96000])
def test_rates(tmp_path, rate):
    path = record(tmp_path / 'a.wav', tone(440, rate=rate), rate, 'FLOAT')
    samples, seconds = read_audio(str(path))
    assert seconds == 0.5 and len(samples) == 8000
    assert np.abs(samples - tone(440)).max() < 2e-3


def test_resampling_removes_what_the_lower_rate_cannot_hold():
    low = resample(tone(12000, rate=48000), 48000, 16000)
    assert np.abs(low).max() < 0.01  # else it would sound as 4000 Hz
    assert resample(low, 16000, 16000) is low


def test_only_the_beginning_of_an_hour_is_read(tmp_path, monkeypatch):
    import soundfile

    path = tmp_path / 'hour.flac'
    with soundfile.SoundFile(path, 'w', 8000, 1) as file:
        file.write(tone(440, 1, 8000))
        for _ in range(60):
            file.write(np.zeros(60 * 8000, 'f4'))
    read: list[int] = []
    plain = soundfile.SoundFile.read

    def counting(self, frames, **options):
        read.append(frames)
        return plain(self, frames, **options)

    monkeypatch.setattr(soundfile.SoundFile, 'read', counting)
    samples, seconds = read_audio(str(path), max_seconds=2.0)
    assert seconds == 3601 and len(samples) == 32000
    assert sum(read) == 16000
    assert np.abs(samples[:16000] - tone(440, 1)).max() < 2e-3


@pytest.mark.parametrize('suffix', ['wav', 'flac', 'ogg'])
@pytest.mark.parametrize('kept', [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_named(tmp_path, suffix, kept):
    path = record(tmp_path / f'a.{suffix}', noise(2))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    for read in (read_audio, measure_audio):
        with pytest.raises(ValueError, match=rf'a\.{suffix} cannot be decoded: ') as caught:
            read(str(path))
        assert '\n' not in str(caught.value)


def test_empty_silent_and_other_files(tmp_path):
    for name, content in (('a.wav', b''), ('b.wav', b'hello, no sound'), ('c.raw', b'12345678')):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf'{name} cannot be decoded'):
            read_audio(str(tmp_path / name))
    path = record(tmp_path / 'none.wav', np.zeros(0, 'f4'))
    with pytest.raises(ValueError, match=r'none\.wav .*empty'):
        read_audio(str(path))
    path = record(tmp_path / 'silent.wav', np.zeros(800, 'f4'))
    assert not read_audio(str(path))[0].any() and measure_audio(str(path)) == (0.05, 0.0)
    with pytest.raises(FileNotFoundError, match=r'gone\.wav'):
        read_audio(str(tmp_path / 'gone.wav'))
    os.mkfifo(tmp_path / 'pipe.wav')
    for name in ('pipe.wav', ''):
        with pytest.raises(ValueError, match='no regular file'):
            read_audio(str(tmp_path / name))


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_values_that_are_no_numbers(tmp_path, value):
    samples = noise(0.1)
    samples[800] = value
    path = record(tmp_path / 'a.wav', samples, subtype='FLOAT')
    for read in (read_audio, measure_audio):
        with pytest.raises(ValueError, match=r'a\.wav .*no numbers'):
            read(str(path))


def test_a_rate_that_is_none(tmp_path):
    path = record(tmp_path / 'a.wav', noise(0.1), 3)
    with pytest.raises(ValueError, match=r'a\.wav .*sample rate is 3 Hz'):
        read_audio(str(path))


def test_a_streamed_file_has_no_length_in_its_header(tmp_path):
    """As ``espeak-ng --stdout`` and ``ffmpeg -`` write."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, tone(440), 16000, 'PCM_16', format='WAV')
    data = bytearray(buffer.getvalue())
    data[4:8], data[40:44] = b'\x24\xf0\xff\x7f', b'\x00\xf0\xff\x7f'
    (tmp_path / 'a.wav').write_bytes(data)
    assert np.abs(read_audio(str(tmp_path / 'a.wav'))[0] - tone(440)).max() < 1e-4


def test_without_soundfile_one_sentence_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'soundfile', None)
    with pytest.raises(ImportError, match=r'pip install soundfile'):
        read_audio(str(tmp_path / 'a.wav'))
