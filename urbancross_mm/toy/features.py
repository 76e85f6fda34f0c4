"""Cheap features of the toy world's images and captions, instead of those of frozen encoders.

Counts and sums of bytes, so that every machine writes the same numbers.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from urbancross_mm.datasets.feature_file import write_features
from urbancross_mm.datasets.vocabulary import split_words
from urbancross_mm.structures.annotations import load_annotations
from urbancross_mm.utils.images import read_image

# One width for both, so that one setting of the --sample overlay fits every FeatureEncoder.
WIDTH = 128
# Bins of the histogram per channel, and cells along a side of the image.
SHADES, CELLS = 4, 4
FILE = 'features.npz'
SPLITS = ('train', 'val', 'test')


def write_sample_features(folder: str | Path) -> None:
    """Write ``features.npz`` for a converted dataset."""
    folder = Path(folder)
    paths: dict[str, Path] = {}
    captions: dict[str, None] = {}
    for split in SPLITS:
        file = folder / 'annotations' / f'{folder.name}_{split}.json'
        for item in load_annotations(str(file))[1]:
            paths[item['img_id']] = folder / 'images' / item['img_path']
            captions.update(dict.fromkeys(item['captions']))
    write_features(
        folder / FILE,
        list(paths),
        np.stack([image_features(path) for path in paths.values()]),
        list(captions),
        np.stack([caption_features(text) for text in captions]),
        dict(config='none: colors, gradients and words of the sample'),
    )


def image_features(path: str | Path) -> np.ndarray:
    """Color histogram, and color and gradient of each cell of a grid: ``(128,)`` float32."""
    image, _ = read_image(str(path))
    height, width = (side // CELLS * CELLS for side in image.shape[:2])
    image = image[:height, :width].astype(np.int64)
    shades = image * SHADES // 256
    codes = (shades[..., 0] * SHADES + shades[..., 1]) * SHADES + shades[..., 2]
    histogram = np.bincount(codes.ravel(), minlength=SHADES**3) / codes.size
    gray = image.sum(axis=2)
    steps = np.zeros_like(gray)
    steps[1:, 1:] = np.abs(gray[1:, 1:] - gray[:-1, 1:]) + np.abs(gray[1:, 1:] - gray[1:, :-1])
    layers = np.dstack([image, steps])  # (H, W, 4)
    grid = layers.reshape(CELLS, height // CELLS, CELLS, width // CELLS, 4).sum(axis=(1, 3))
    cells = grid / (height * width // CELLS**2 * np.array([255, 255, 255, 2 * 3 * 255]))
    return np.concatenate([np.sqrt(histogram), cells.ravel()]).astype(np.float32)


def caption_features(text: str) -> np.ndarray:
    """Hashed bag of words and of pairs of neighbors, of unit length: ``(128,)`` float32."""
    words = split_words(text)
    counts = np.zeros(WIDTH, dtype=np.int64)
    for part in _parts(words):
        code = zlib.crc32(part.encode('utf-8'))
        counts[code % WIDTH] += 1 if code >> 31 else -1
    length = np.sqrt(np.square(counts).sum())
    return (counts / max(length, 1)).astype(np.float32)


def _parts(words: list[str]) -> Iterable[str]:
    yield from words
    yield from (f'{word} {following}' for word, following in zip(words, words[1:]))
