"""Spoken captions for annotations, by the speech synthesizer eSpeak NG."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from urbancross_mm.structures.annotation_schema import Item
from urbancross_mm.structures.annotations import encode_file, load_annotations
from urbancross_mm.utils.audio import open_audio, resample
from urbancross_mm.utils.files import (
    atomic_write,
    check_outputs,
    file_lock,
    remove_leftovers_below,
    write_all,
)
from urbancross_mm.utils.ids import stable_id
from urbancross_mm.utils.optional import import_optional
from urbancross_mm.utils.progress import map_tracked

PROGRAM = 'espeak-ng'
SAMPLE_RATE = 16000
# Accents, each with speakers of its own (+m: men, +f: women).
VOICES = (
    'en-us',
    'en-us+m1',
    'en-us+m3',
    'en-us+f1',
    'en-us+f2',
    'en-gb',
    'en+m4',
    'en+f3',
    'en-gb-x-rp+m5',
    'en-gb-x-rp+f5',
)
TEST_VOICES = ('en-us+m7', 'en-us+f4', 'en-029+m2', 'en-gb-scotland+m6')
SUFFIXES = {'.flac': 'FLAC', '.wav': 'WAV'}


@dataclass(kw_only=True)
class Options:
    """What the command line decides.

    Attributes:
        annotations (tuple[Path, ...]): Files that get ``audio_paths``.
        out (Path): Folder of the recordings.
        voices (tuple[str, ...]): Drawn from for every split but test.
        test_voices (tuple[str, ...]): Drawn from for the split test.
        speeds (tuple[int, int]): Slowest and fastest, in words a minute.
        seed (int): Of the draw of voice and speed.
        suffix (str): ``.flac`` or ``.wav``.
        workers (int): Threads.
        force (bool): Replace ``audio_paths`` that name something else.
    """

    annotations: tuple[Path, ...]
    out: Path
    voices: tuple[str, ...] = VOICES
    test_voices: tuple[str, ...] = TEST_VOICES
    speeds: tuple[int, int] = (140, 190)
    seed: int = 0
    suffix: str = '.flac'
    workers: int = 1
    force: bool = False

    def __post_init__(self) -> None:
        if self.suffix not in SUFFIXES:
            raise ValueError(f'recordings are .flac or .wav, got {self.suffix!r}')
        if not self.voices or not self.test_voices:
            raise ValueError('give at least one voice, and one for the test')
        if not 80 <= self.speeds[0] <= self.speeds[1] <= 450:
            raise ValueError(
                f'speeds are words a minute, slowest first, 80 to 450, got {self.speeds}'
            )
        if self.seed < 0:
            raise ValueError(f'--seed must be at least 0, got {self.seed}')


class Reading(NamedTuple):
    """How a caption is read."""

    text: str
    voice: str
    speed: int

    @property
    def mark(self) -> str:
        """What a recording notes in its comment, so that one of another reading is made again."""
        return f'{self.voice} {self.speed} {stable_id(self.text):016x}'


def convert(options: Options) -> dict[str, dict[str, int]]:
    """Speak every caption and name the recordings in the annotations.

    Recordings that are there, whole and of the same reading, are kept. The annotation files are
    written last, all or none; nothing else in them changes.

    Args:
        options (Options): See there.

    Returns:
        dict[str, dict[str, int]]: ``captions``, ``spoken`` (now), ``kept`` and ``without_sound``
        of each annotation file. A recording that two files share counts as spoken in both.

    Raises:
        FileNotFoundError: If eSpeak NG or an annotation file is missing.
        ImportError: If soundfile is missing.
        ValueError: If an annotation file is wrong or names other recordings, two files want one
            recording to be read differently, or a voice does not exist.
    """
    check_outputs(options.annotations)
    check_voices((*options.voices, *options.test_voices))
    read = {path: load_annotations(str(path), False) for path in options.annotations}
    names: dict[Path, list[list[str]]] = {}
    readings: dict[str, Reading] = {}
    for path, (metainfo, items) in read.items():
        voices = options.test_voices if metainfo.get('split') == 'test' else options.voices
        _refuse_others(path, items, options)
        names[path] = [_plan(item, voices, options, readings, path) for item in items]
    with file_lock(options.out):
        remove_leftovers_below(options.out)
        work = partial(_record, out=options.out)
        states = map_tracked(work, list(readings.items()), 'speaking', options.workers)
        done = dict(zip(readings, states))
    contents: dict[Any, bytes | str] = {}
    counts = {}
    for path, (metainfo, items) in read.items():
        for item, own in zip(items, names[path]):
            if own:
                item['audio_paths'] = ['' if done[one] == 'without_sound' else one for one in own]
        made = Counter(done[one] for own in names[path] for one in own)
        counts[str(path)] = dict(
            captions=made.total(), **{key: made[key] for key in ('spoken', 'kept', 'without_sound')}
        )
        contents[path] = encode_file(path, {**metainfo, 'audio': _provenance(options)}, items)
    write_all(contents)
    return counts


def check_voices(voices: tuple[str, ...]) -> None:
    """Refuse voices that eSpeak NG does not have.

    Args:
        voices (tuple[str, ...]): Such as ``en-us`` or ``en-us+f3``.

    Raises:
        FileNotFoundError: If eSpeak NG is not installed.
        ValueError: If a voice, or what stands after its ``+``, does not exist.
    """
    if shutil.which(PROGRAM) is None:
        raise FileNotFoundError(
            f'speaking captions needs the program {PROGRAM}, which is not installed: '
            'apt install espeak-ng (macOS: brew install espeak-ng)'
        )
    known = _voice_names()
    for voice in dict.fromkeys(voices):
        base, plus, _ = voice.partition('+')
        # Of an unknown region, such as de-xx, it takes the language.
        if base.lower() not in known:
            raise ValueError(f'{PROGRAM} has no voice {base!r}: {PROGRAM} --voices lists them')
        own, plain = (speak(Reading('hello', one, 175)) for one in (voice, base))
        # A speaker that it does not know, or not for this voice, is passed over in silence.
        if plus and np.array_equal(own, plain):
            raise ValueError(f'{PROGRAM} has no voice {voice!r}: it sounds like {base!r}')


def _voice_names() -> set[str]:
    """Languages, names and files of all voices, in lower case."""
    done = subprocess.run([PROGRAM, '--voices'], capture_output=True, text=True)
    names: set[str] = set()
    for line in done.stdout.splitlines()[1:]:
        # Priority, language, age and gender, name, file, and other languages: (en 2).
        _, language, _, *rest = line.lower().replace('(', ' ').split()
        names |= {language, *rest, *(name.rpartition('/')[2] for name in rest)}
    return names


def speak(reading: Reading) -> np.ndarray:
    """Have eSpeak NG read a text.

    Args:
        reading (Reading): Text, voice and speed.

    Shape:
        - output: ``(T,)``.

    Returns:
        np.ndarray: float32 samples at 16 kHz; none if there is nothing to say.

    Raises:
        ValueError: If eSpeak NG fails.
    """
    soundfile = import_optional('soundfile', 'speaking captions', 'soundfile')
    # Between [[ and ]] it would read phonemes.
    text = reading.text.replace('[', ' ').replace(']', ' ').replace('\0', ' ')
    options = ['-b', '1', '-v', reading.voice, '-s', str(reading.speed), '--stdin', '--stdout']
    done = subprocess.run([PROGRAM, *options], input=text.encode(), capture_output=True)
    if done.returncode:
        reason = done.stderr.decode('utf-8', 'replace').strip().partition('\n')[0]
        raise ValueError(f'{PROGRAM} cannot read with the voice {reading.voice!r}: {reason}')
    if not done.stdout:
        return np.zeros(0, np.float32)
    samples, rate = soundfile.read(io.BytesIO(done.stdout), dtype='float32')
    return resample(samples, rate, SAMPLE_RATE) if samples.any() else samples[:0]


def _plan(
    item: Item,
    voices: tuple[str, ...],
    options: Options,
    readings: dict[str, Reading],
    path: Path,
) -> list[str]:
    """Names of the recordings of an image; notes how each is to be read."""
    stem = Path(item['img_path']).with_suffix('').as_posix()
    names = []
    for number, text in enumerate(item.get('captions') or ()):
        name = f'{stem}_{number}{options.suffix}'
        rng = np.random.default_rng([options.seed, stable_id(f'{item["img_id"]}#{number}')])
        voice = voices[int(rng.integers(len(voices)))]
        speed = int(rng.integers(options.speeds[0], options.speeds[1] + 1))
        reading = Reading(text, voice, speed)
        first = readings.setdefault(name, reading)
        if first != reading:
            raise ValueError(
                f'{path}: caption {number} of {item["img_id"]} would share the recording {name} '
                f'with another caption or voice ({first.voice}): {first.text!r:.80}; use another '
                '--out for these annotations'
            )
        names.append(name)
    return names


def _record(job: tuple[str, Reading], out: Path) -> str:
    """Make one recording, whole or not at all; says what became of it."""
    soundfile = import_optional('soundfile', 'speaking captions', 'soundfile')
    name, reading = job
    if _is_there(out / name, reading):
        return 'kept'
    samples = speak(reading)
    if not len(samples):
        return 'without_sound'
    buffer, suffix = io.BytesIO(), Path(name).suffix
    with soundfile.SoundFile(
        buffer, 'w', SAMPLE_RATE, 1, subtype='PCM_16', format=SUFFIXES[suffix]
    ) as file:
        file.comment = reading.mark
        file.write(samples)
    atomic_write(out / name, buffer.getvalue())
    return 'spoken'


def _is_there(path: Path, reading: Reading) -> bool:
    """Whether a recording exists, of this reading, to its last sample."""
    try:
        with open_audio(str(path)) as file:
            if file.comment != reading.mark:
                return False
            file.seek(file.frames - 1)
            return len(file.read(1)) == 1
    except (FileNotFoundError, ValueError):
        return False


def _refuse_others(path: Path, items: list[Item], options: Options) -> None:
    """Published recordings are not replaced by accident."""
    for item in items:
        stem = Path(item['img_path']).with_suffix('').as_posix()
        for name in item.get('audio_paths') or ():
            if name and not name.startswith(f'{stem}_') and not options.force:
                raise ValueError(
                    f'{path}: {item["img_id"]} names the recording {name} already: give --force '
                    'to replace it'
                )


def _provenance(options: Options) -> Mapping[str, Any]:
    version = subprocess.run([PROGRAM, '--version'], capture_output=True, text=True).stdout
    return dict(
        generator='speak_captions.py',
        engine=version.partition('  ')[0].strip(),
        voices=list(options.voices),
        test_voices=list(options.test_voices),
        speeds=list(options.speeds),
        seed=options.seed,
    )
