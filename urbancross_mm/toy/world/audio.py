"""Mel spectrograms that look and vary like a spoken caption, without a speech synthesiser."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MELS = 128
FRAMES = {'vowel': 7, 'voiced': 5, 'noise': 4, 'stop': 3, 'pause': 5}
VOWELS = {
    'a': (730, 1090, 2440),
    'e': (530, 1840, 2480),
    'i': (270, 2290, 3010),
    'o': (570, 840, 2410),
    'u': (300, 870, 2240),
    'y': (290, 2100, 2700),
}
VOICED = {
    'b': (250, 900, 2200),
    'd': (280, 1700, 2600),
    'g': (260, 1400, 2300),
    'j': (260, 2000, 2900),
    'l': (360, 1100, 2700),
    'm': (280, 950, 2200),
    'n': (280, 1500, 2500),
    'r': (420, 1250, 1650),
    'v': (240, 1150, 2400),
    'w': (300, 640, 2200),
    'z': (240, 1650, 4800),
}
NOISE = {
    'c': (2500, 4200),
    'f': (3800, 6500),
    'h': (1200, 3000),
    's': (4800, 7600),
    'x': (3000, 6000),
}
STOPS = {'k': (1500, 3000), 'p': (700, 1800), 'q': (1200, 2600), 't': (3200, 5600)}


def _mel(hertz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return 2595 * np.log10(1 + np.asarray(hertz, float) / 700)


_TOP = _mel(8000.0)
_BINS = np.linspace(0, _TOP, MELS)
_HERTZ = 700 * (10 ** (_BINS / 2595) - 1)


@lru_cache(maxsize=4096)
def _envelope(letter: str, tract: float) -> tuple[NDArray[np.float64], str]:
    """Loudness over frequency of one letter, and what sort of sound it is."""
    for table, sort, width in (
        (VOWELS, 'vowel', 110),
        (VOICED, 'voiced', 90),
        (NOISE, 'noise', 260),
        (STOPS, 'stop', 330),
    ):
        if letter in table:
            peaks = _mel(np.array(table[letter]) * tract)
            loud = {
                'vowel': (1, 0.85, 0.6),
                'voiced': (0.75, 0.5, 0.35),
                'noise': (0.45, 0.6),
                'stop': (0.5, 0.35),
            }[sort]
            shape = np.exp(-0.5 * ((_BINS[:, None] - peaks) / width) ** 2) @ np.array(loud)
            return shape, sort
    return np.zeros(MELS), 'pause'


def spoken_caption(text: str, seed: tuple[int, ...]) -> NDArray[np.uint8]:
    """Draw the mel spectrogram of an imagined reading of a caption.

    Every letter has its own formants or noise band and its own length, words are set apart by
    pauses, and pitch and vocal tract change with the seed as they do from speaker to speaker.
    16 kHz, 128 mel bands, one column every 10 ms, 60 dB from black to white.

    Args:
        text (str): The caption.
        seed (tuple[int, ...]): Draws the speaker and the noise.

    Shape:
        - output: ``(128, T)`` uint8, low frequencies in the last row

    Returns:
        NDArray: The image; ``T`` grows with the text.
    """
    rng = np.random.default_rng(seed)
    pitch, tract = rng.uniform(95, 220), round(float(rng.uniform(0.92, 1.12)), 2)
    pace = rng.uniform(0.85, 1.2)
    shapes, voiced = [], []
    for letter in f' {text.lower()} ':
        shape, sort = _envelope(letter, tract)
        frames = max(2, round(FRAMES[sort] * pace))
        shapes += [shape] * frames
        voiced += [sort in ('vowel', 'voiced')] * frames
    energy = np.stack(shapes, 1)
    # Neighboring sounds run into each other.
    kernel = np.array([0.15, 0.2, 0.3, 0.2, 0.15])
    padded = np.pad(energy, ((0, 0), (2, 2)), mode='edge')
    energy = sum(w * padded[:, i : i + energy.shape[1]] for i, w in enumerate(kernel))
    return _to_image(energy, np.array(voiced), pitch, rng)


def _to_image(
    energy: NDArray[np.float64], voiced: NDArray[np.bool_], pitch: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Add the harmonics of the voice and the noise of the room, in decibel."""
    frames = energy.shape[1]
    melody = pitch * (
        1
        + 0.12 * np.sin(np.arange(frames) * 0.045 + rng.uniform(0, 6.28))
        - 0.15 * np.arange(frames) / frames
    )
    comb = 0.55 + 0.45 * np.cos(2 * np.pi * _HERTZ[:, None] / melody)
    low = np.clip(1.3 - _HERTZ[:, None] / 2500, 0, 1)  # upper harmonics melt together
    energy = energy * np.where(voiced, 1 - low * (1 - comb), 1.0)
    energy = energy * np.exp(0.35 * rng.standard_normal(energy.shape, np.float32)) + 0.004 * np.exp(
        0.6 * rng.standard_normal(energy.shape, np.float32)
    )
    decibel = 20 * np.log10(energy + 1e-4)
    gray = np.clip((decibel + 60) / 60, 0, 1) * 255
    return gray[::-1].astype(np.uint8)
