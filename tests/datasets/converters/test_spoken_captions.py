"""Spoken captions: whose voice, which file, what a second run does, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.tiny import item, write
from urbancross_mm.datasets import ImageTextDataset
from urbancross_mm.datasets.converters import spoken_captions
from urbancross_mm.datasets.converters.spoken_captions import (
    TEST_VOICES,
    VOICES,
    Options,
    Reading,
    convert,
    speak,
)
from urbancross_mm.utils.audio import open_audio

needs_espeak = pytest.mark.skipif(
    shutil.which('espeak-ng') is None, reason='needs the program espeak-ng'
)
CAPTIONS = dict(a=['a red roof', 'a road and a river'], b=['a beach', 'trees'])


def folder(root: Path, **split: str) -> Path:
    """Annotations of two images."""
    items = [item(name, captions) for name, captions in CAPTIONS.items()]
    write(root, items, **split)
    return root / 'annotations/tiny.json'


@pytest.fixture
def said(monkeypatch):
    """Stands in for the program: samples that tell text, voice and speed apart; what it read."""
    readings: list[Reading] = []

    def fake(reading: Reading) -> np.ndarray:
        readings.append(reading)
        if not any(letter.isalpha() for letter in reading.text):
            return np.zeros(0, np.float32)
        seed = abs(hash(reading)) % 2**32
        return (np.random.default_rng(seed).standard_normal(800) * 0.1).astype(np.float32)

    monkeypatch.setattr(spoken_captions, 'speak', fake)
    monkeypatch.setattr(spoken_captions, 'check_voices', lambda voices: None)
    monkeypatch.setattr(spoken_captions, '_provenance', lambda options: dict(seed=options.seed))
    return readings


def options(root: Path, **more) -> Options:
    return Options(annotations=(root / 'annotations/tiny.json',), out=root / 'audio', **more)


def items_of(root: Path) -> list[dict]:
    return json.loads((root / 'annotations/tiny.json').read_text())['data_list']


@pytest.mark.parametrize('suffix', ['.flac', '.wav'])
def test_every_caption_gets_a_recording(tmp_path, said, suffix):
    before = items_of(folder(tmp_path).parents[1])
    counts = convert(options(tmp_path, suffix=suffix, workers=2))
    path = str(tmp_path / 'annotations/tiny.json')
    assert counts == {path: dict(captions=4, spoken=4, kept=0, without_sound=0)}
    after = items_of(tmp_path)
    for old, new in zip(before, after):
        name = old['img_path'][:-4]
        assert new == dict(old, audio_paths=[f'{name}_0{suffix}', f'{name}_1{suffix}'])
    dataset = ImageTextDataset(
        'annotations/tiny.json', str(tmp_path), pipeline=[dict(type='LoadAudio')]
    )
    assert [len(dataset[k]['audio'][0]) for k in range(4)] == [800] * 4
    assert sorted(reading.text for reading in said) == sorted(sum(CAPTIONS.values(), []))


def test_the_test_has_voices_of_its_own(tmp_path, said):
    assert not set(VOICES) & set(TEST_VOICES)
    for split in ('train', 'val', 'test'):
        said.clear()
        folder(tmp_path / split, split=split)
        convert(options(tmp_path / split, voices=('x', 'y'), test_voices=('z',)))
        voices = {reading.voice for reading in said}
        assert voices == {'z'} if split == 'test' else voices <= {'x', 'y'}


def test_voice_and_speed_are_drawn_for_each_caption_by_the_seed(tmp_path, said):
    drawn = {}
    for seed in (0, 0, 1):
        said.clear()
        root = tmp_path / f'{seed}{len(drawn)}'
        write(root, [item(f'{k}', ['one', 'two']) for k in range(30)], images=False)
        convert(options(root, seed=seed, speeds=(100, 120)))
        drawn[root.name] = list(said)
    first, again, other = drawn.values()
    assert first == again != other
    assert {reading.voice for reading in first} == set(VOICES)
    speeds = {reading.speed for reading in first}
    assert min(speeds) >= 100 and max(speeds) <= 120 and len(speeds) > 15


def test_a_second_run_keeps_what_is_whole_and_of_the_same_reading(tmp_path, said):
    folder(tmp_path)
    convert(options(tmp_path))
    audio = tmp_path / 'audio'
    stamps = {path.name: path.stat().st_mtime_ns for path in audio.glob('*.flac')}
    (audio / 'a_0.flac').unlink()
    data = (audio / 'b_0.flac').read_bytes()
    (audio / 'b_0.flac').write_bytes(data[:-200])  # cut by hand
    (audio / '.b_1.flac.77.tmp').write_bytes(b'half')  # of a run that was killed
    said.clear()
    (counts,) = convert(options(tmp_path)).values()
    assert (counts['spoken'], counts['kept']) == (2, 2)
    assert sorted(reading.text for reading in said) == ['a beach', 'a red roof']
    assert not list(audio.glob('.*.tmp'))
    for name in ('a_1.flac', 'b_1.flac'):
        assert (audio / name).stat().st_mtime_ns == stamps[name]
    assert convert(options(tmp_path, voices=('other',))).popitem()[1]['spoken'] == 4
    with open_audio(str(audio / 'a_0.flac')) as file:
        assert file.samplerate == 16000 and file.comment.startswith('other ')


def test_an_interrupted_run_leaves_the_annotations_and_goes_on(tmp_path, said, monkeypatch):
    path = folder(tmp_path)
    before, plain = path.read_bytes(), spoken_captions.speak

    def breaks(reading: Reading) -> np.ndarray:
        if reading.text == 'a beach':
            raise KeyboardInterrupt
        return plain(reading)

    monkeypatch.setattr(spoken_captions, 'speak', breaks)
    with pytest.raises(KeyboardInterrupt):
        convert(options(tmp_path))
    assert path.read_bytes() == before
    monkeypatch.setattr(spoken_captions, 'speak', plain)
    (counts,) = convert(options(tmp_path)).values()
    assert (counts['spoken'], counts['kept']) == (2, 2)


def test_a_caption_without_sound_is_counted(tmp_path, said):
    write(tmp_path, [item('a', ['one', '...']), item('b', ['two'])])
    (counts,) = convert(options(tmp_path)).values()
    assert (counts['spoken'], counts['without_sound']) == (2, 1)
    assert items_of(tmp_path)[0]['audio_paths'] == ['a_0.flac', '']


def test_splits_that_share_images_share_recordings(tmp_path, said):
    folder(tmp_path, split='train')
    paths = [tmp_path / f'annotations/{name}.json' for name in ('tiny', 'trainval')]
    shutil.copy(*paths)
    counts = convert(Options(annotations=tuple(paths), out=tmp_path / 'audio'))
    assert len(said) == 4 and all(count['spoken'] == 4 for count in counts.values())
    assert paths[0].read_bytes() == paths[1].read_bytes()
    text = paths[1].read_text()
    paths[1].write_text(text.replace('"train"', '"test"'))
    with pytest.raises(ValueError, match=r'trainval\.json: caption 0 of tiny/a .*a_0\.flac.*--out'):
        convert(Options(annotations=tuple(paths), out=tmp_path / 'audio'))


def test_published_recordings_are_replaced_by_force_alone(tmp_path, said):
    write(tmp_path, [item('a', ['one'], audio_paths=['17.jpg'])])
    with pytest.raises(ValueError, match=r'tiny\.json: tiny/a .*17\.jpg .*--force'):
        convert(options(tmp_path))
    assert not said
    convert(options(tmp_path, force=True))
    assert items_of(tmp_path)[0]['audio_paths'] == ['a_0.flac']


@pytest.mark.parametrize(
    'fields, named',
    [
        (dict(suffix='.mp3'), 'mp3'),
        (dict(voices=()), 'at least one voice'),
        (dict(speeds=(200, 100)), r'\(200, 100\)'),
        (dict(speeds=(1, 100)), r'\(1, 100\)'),
        (dict(seed=-1), '-1'),
    ],
)
def test_impossible_options(tmp_path, fields, named):
    with pytest.raises(ValueError, match=named):
        options(tmp_path, **fields)


def test_without_the_program_one_sentence_says_how_to_install_it(tmp_path, monkeypatch):
    folder(tmp_path)
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(FileNotFoundError, match='apt install espeak-ng') as caught:
        convert(options(tmp_path))
    assert '\n' not in str(caught.value)


@needs_espeak
@pytest.mark.parametrize(
    'voice, named',
    [
        ('xx-none', "no voice 'xx-none'"),
        ('de-xx', "no voice 'de-xx'"),
        ('en-us+zzz', "'en-us\\+zzz'.*like 'en-us'"),
    ],
)
def test_voices_that_do_not_exist(tmp_path, voice, named):
    folder(tmp_path)
    with pytest.raises(ValueError, match=named):
        convert(options(tmp_path, voices=('en-us', voice)))


@needs_espeak
def test_the_voices_exist_and_differ():
    spoken_captions.check_voices((*VOICES, *TEST_VOICES))
    heard = {speak(Reading('a road', voice, 160)).tobytes() for voice in (*VOICES, *TEST_VOICES)}
    assert len(heard) == len(VOICES) + len(TEST_VOICES)


@needs_espeak
def test_speech():
    slow, fast = (speak(Reading('a road beside a river', 'en-us', s)) for s in (100, 250))
    assert slow.dtype == np.float32 and 1 < len(slow) / 16000 < 6 and len(fast) < 0.7 * len(slow)
    assert 0.05 < np.abs(slow).max() <= 1
    assert len(speak(Reading('...', 'en-us', 160))) == 0


@needs_espeak
@pytest.mark.parametrize('text', ['$(touch spoken)', '; touch spoken', '-f spoken', '--help'])
def test_a_caption_is_never_a_command(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    assert len(speak(Reading(f'{text} road', 'en-us', 160))) > 3000
    assert not list(tmp_path.iterdir())


@needs_espeak
def test_brackets_are_not_phonemes():
    plain = speak(Reading('a  road ', 'en-us', 160))
    assert np.array_equal(speak(Reading('a [[road]]', 'en-us', 160)), plain)
