"""Reading recordings: mono samples at one rate, or one sentence that says what is wrong."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.utils.optional import import_optional

RATES = (1_000, 1_000_000)
# Values that are decoded at once; what a header claims takes no memory.
BLOCK = 2**18
# What a writer that cannot go back notes as the size of a RIFF file: "until the end".
STREAMED = 0x7FFF0000
LONGEST_OGG_PAGE = 27 + 255 + 255 * 255


def read_audio(
    path: str, sample_rate: int = 16000, max_seconds: float | None = None
) -> tuple[np.ndarray, float]:
    """Decode a recording: WAV, FLAC, OGG or what else libsndfile reads, of any rate and channels.

    Args:
        path (str): The file.
        sample_rate (int): Rate of the output in Hz. Defaults to 16000.
        max_seconds (float | None): Read no more than the beginning. Defaults to None, all.

    Shape:
        - output: ``(T,)``.

    Returns:
        tuple[np.ndarray, float]: float32 samples, the mean of the channels, where full scale
        is 1; and the seconds that the whole recording lasts.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If soundfile is not installed.
        ValueError: If it is empty, truncated, no recording, or holds values that are no numbers.
    """
    with open_audio(path) as file:
        rate, total = file.samplerate, file.frames
        wanted = total if max_seconds is None else min(total, math.ceil(max_seconds * rate))
        blocks = list(_mono_blocks(file, wanted))
        if sum(map(len, blocks)) < wanted:
            raise ValueError('it ends early')
    return resample(np.concatenate(blocks), rate, sample_rate), total / rate


def measure_audio(path: str) -> tuple[float, float]:
    """Decode a recording to its end without keeping it.

    Args:
        path (str): The file.

    Returns:
        tuple[float, float]: Its seconds and its largest absolute value, 0 if it is silent.

    Raises:
        FileNotFoundError: As :func:`read_audio`.
        ImportError: In the same way.
        ValueError: In the same way.
    """
    with open_audio(path) as file:
        count, peak = 0, 0.0
        for block in _mono_blocks(file, file.frames):
            count, peak = count + len(block), max(peak, float(np.abs(block).max()))
        if count < file.frames:
            raise ValueError('it ends early')
        return count / file.samplerate, peak


@contextmanager
def open_audio(path: str) -> Iterator[Any]:
    """Open a recording; whatever is wrong with it while it is open names it.

    Args:
        path (str): The file.

    Yields:
        soundfile.SoundFile: With ``samplerate``, ``frames`` (at least 1) and ``channels``.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If soundfile is not installed.
        ValueError: If it is no recording that can be read.
    """
    soundfile = import_optional('soundfile', 'reading audio', 'soundfile')
    if not os.path.exists(path):
        raise FileNotFoundError(f'audio file not found: {path}')
    try:
        if not os.path.isfile(path):
            raise ValueError('it is no regular file')
        _refuse_cut(path)
        with soundfile.SoundFile(path) as file:
            if file.frames < 1:
                raise ValueError('it is empty')
            if not RATES[0] <= file.samplerate <= RATES[1]:
                raise ValueError(f'its sample rate is {file.samplerate} Hz')
            yield file
    # A name such as x.raw has soundfile ask for a rate, with a TypeError.
    except (ValueError, TypeError, soundfile.SoundFileError) as error:
        reason = str(getattr(error, 'error_string', error)).strip().rstrip('.').partition('\n')[0]
        raise ValueError(f'audio file {path} cannot be decoded: {reason}') from error


def resample(samples: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    """Change the sample rate by a band-limited polyphase filter.

    Args:
        samples (np.ndarray): float32 samples.
        rate (int): Their rate in Hz.
        sample_rate (int): That of the output.

    Shape:
        - samples: ``(T,)``; output: ``(ceil(T * sample_rate / rate),)``.

    Returns:
        np.ndarray: float32 samples.
    """
    if rate == sample_rate:
        return samples
    signal = import_optional('scipy.signal', 'resampling audio', 'scipy')
    # Exact for the rates in use; an odd one, 16001 Hz, would take a filter of its own length.
    ratio = Fraction(sample_rate, rate).limit_denominator(1000)
    resampled = signal.resample_poly(samples, ratio.numerator, ratio.denominator)
    return np.ascontiguousarray(resampled, dtype=np.float32)


def _mono_blocks(file: Any, frames: int) -> Iterator[np.ndarray]:
    """The first frames, averaged over channels; fewer if the file ends before."""
    size = max(1, BLOCK // file.channels)
    while frames > 0:
        block = file.read(min(frames, size), dtype='float32', always_2d=True)
        if not len(block):
            return
        if not np.isfinite(block).all():
            raise ValueError('it holds values that are no numbers')
        frames -= len(block)
        yield block[:, 0] if file.channels == 1 else block.mean(axis=1)


def _refuse_cut(path: str) -> None:
    """Refuse a WAV or OGG file that lacks its end: libsndfile reads what is left in silence."""
    size = os.path.getsize(path)
    if not size:
        raise ValueError('it is empty')
    with Path(path).open('rb') as file:
        head = file.read(8)
        file.seek(max(0, size - LONGEST_OGG_PAGE))
        tail = file.read()
    if head[:4] == b'RIFF':
        claimed = 8 + int.from_bytes(head[4:8], 'little')
        cut = claimed < STREAMED and claimed > size + 1
    else:
        cut = head[:4] == b'OggS' and not _ends_with_last_page(tail)
    if cut:
        raise ValueError('it ends early')


def _ends_with_last_page(tail: bytes) -> bool:
    """Whether an OGG file ends with a whole page that is marked as its last."""
    page = tail[tail.rfind(b'OggS') :]
    if len(page) < 27 or not page[5] & 4:
        return False
    return len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])
