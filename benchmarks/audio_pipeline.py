"""Seconds of audio a second of CPU: loading recordings, and their spectrograms on the batch.

Recordings as long as a spoken caption, in several formats, through ``LoadAudio`` and
``RetrievalDataPreprocessor`` on one CPU thread. With a GPU the spectrograms leave the CPU, so each
part is timed too.

    python benchmarks/audio_pipeline.py [--recordings 32] [--seconds 3.5] [--repeats 7]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import timing  # before torch: it pins the threads, and finds the package
import torch
from mmengine.dataset import pseudo_collate

from urbancross_mm.datasets import LoadAudio, PackRetrievalInputs
from urbancross_mm.models.data_preprocessor import RetrievalDataPreprocessor

# Name, suffix, rate, channels.
FORMATS = (
    ('FLAC, 16 kHz (speak_captions.py)', '.flac', 16000, 1),
    ('WAV, 16 kHz', '.wav', 16000, 1),
    ('OGG, 16 kHz', '.ogg', 16000, 1),
    ('WAV, 44.1 kHz, stereo', '.wav', 44100, 2),
)


def main() -> None:
    """Measure every format and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--recordings', type=int, default=32, help='in a batch')
    parser.add_argument('--seconds', type=float, default=3.5, help='length of a recording')
    parser.add_argument('--frames', type=int, default=1024, help='width of the spectrogram')
    parser.add_argument('--repeats', type=int, default=7, help='rounds')
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = RetrievalDataPreprocessor(spectrogram=dict(frames=args.frames))
    with tempfile.TemporaryDirectory() as folder:
        written = {
            name: write(Path(folder) / str(number), args, suffix, rate, channels)
            for number, (name, suffix, rate, channels) in enumerate(FORMATS)
        }
        batch = load(written[FORMATS[0][0]])
        timings = timing.compare(
            {
                'log-mel spectrograms alone': lambda: model(batch),
                **{
                    f'loading, {name}': lambda paths=paths: load(paths)
                    for name, paths in written.items()
                },
                'both, FLAC': lambda: model(load(written[FORMATS[0][0]])),
            },
            repeats=args.repeats,
        )
    total = args.recordings * args.seconds
    rows = [[one.name, f'{total / one.cpu_seconds:,.0f}'] for one in timings]
    print(timing.settings(batch=args.recordings, seconds=args.seconds, frames=args.frames))
    print()
    print(timing.markdown(['', 'seconds of audio a CPU second'], rows))


def write(
    folder: Path, args: argparse.Namespace, suffix: str, rate: int, channels: int
) -> list[str]:
    """Sounds with the changing loudness of speech, so that FLAC and OGG have their usual work."""
    import soundfile

    folder.mkdir()
    time = np.arange(int(args.seconds * rate)) / rate
    paths = []
    for number in range(args.recordings):
        rng = np.random.default_rng(number)
        pitch = rng.uniform(90, 220)
        voice = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 12))
        loud = np.clip(np.sin(2 * np.pi * rng.uniform(2, 4) * time), 0, 1)
        samples = 0.2 * loud * voice + 0.002 * rng.standard_normal(len(time))
        paths.append(str(folder / f'{number}{suffix}'))
        soundfile.write(paths[-1], np.stack([samples] * channels, axis=1), rate)
    return paths


def load(paths: list[str]) -> dict[str, Any]:
    """What the loader's workers do: one recording an item."""
    step, pack = LoadAudio(), PackRetrievalInputs()
    return pseudo_collate([pack(step(dict(audio_paths=[path]))) for path in paths])


if __name__ == '__main__':
    main()
