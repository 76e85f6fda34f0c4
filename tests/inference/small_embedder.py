"""A model of two lines: the color of an image, and the colors that a text names."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose
from PIL import Image

from urbancross_mm.datasets.transforms.loading import LoadImage
from urbancross_mm.inference.embedder import Embedder

COLORS = dict(red=(200, 30, 30), green=(30, 200, 30), blue=(30, 30, 200), gray=(110, 110, 110))


class SmallEmbedder(Embedder):
    """Encodes at once, without weights; everything else is the real class."""

    def __init__(self, batch_size: int = 4) -> None:
        self.batch_size, self.num_workers = batch_size, 0
        self.pipeline = Compose([LoadImage()])
        self.model: Any = SimpleNamespace(score_pairs=None)
        self.tokenizer = SimpleNamespace()
        self.encoded = 0
        self._fingerprint = 'f' * 32

    def encode_texts(self, texts: list[str], *args: Any, **kwargs: Any) -> torch.Tensor:
        named = [[np.array(c) for name, c in COLORS.items() if name in text] for text in texts]
        rows = [sum(colors, np.zeros(3)) for colors in named]
        return torch.stack([unit(np.append(row, 50)) for row in rows])

    def _encode_batch(self, batch: dict, tower: object = None) -> torch.Tensor:
        self.encoded += len(batch['img'])
        return torch.stack([unit(np.append(img.mean((0, 1)), img.std())) for img in batch['img']])


def unit(row: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(row / np.linalg.norm(row)).float()


def write_image(path: Path, color: str | tuple, size: int = 24, seed: int = 0) -> Path:
    """A noisy image of one color."""
    path.parent.mkdir(parents=True, exist_ok=True)
    base = np.array(COLORS.get(color, color) if isinstance(color, str) else color)
    noise = np.random.default_rng(seed).integers(-25, 25, (size, size, 3))
    Image.fromarray((base + noise).clip(0, 255).astype(np.uint8)).save(path)
    return path


def write_tiles(folder: Path, number: int = 10) -> Path:
    """Images ``sub_N/N.png`` in all colors."""
    names = list(COLORS)
    for n in range(number):
        write_image(folder / f'sub_{n % 2}' / f'{n:02d}.png', names[n % 4], seed=n)
    return folder
