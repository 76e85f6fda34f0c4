"""Recordings for tests: tones, and files of every kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def tone(hertz: float, seconds: float = 0.5, rate: int = 16000) -> np.ndarray:
    """A sine of half of full scale, float32, with soft ends."""
    time = np.arange(int(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time) * np.sin(np.pi * time / seconds)).astype('f4')


def noise(seconds: float = 0.5, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Noise, float32; no compression makes it small."""
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * rate))).astype('f4')


def record(path: Path, samples: np.ndarray, rate: int = 16000, subtype: str | None = None) -> Path:
    """Write samples ``(T,)`` or ``(T, channels)``."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype)
    return path
