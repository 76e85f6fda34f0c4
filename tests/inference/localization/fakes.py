"""A model that sees colors, a small real one, and rasters for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from tests.curation.stages.test_tile_stage import write_raster
from urbancross_mm.datasets.transforms import PackRetrievalInputs, ResizeImage
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.models import CrossModalRetriever
from urbancross_mm.registry import SCOPE

COLORS = dict(red=(1.0, 0, 0), green=(0, 1.0, 0), blue=(0, 0, 1.0))


class ColorEmbedder:
    """The embedding of an image is its mean color; of a text, the color that it names."""

    def __init__(self, fingerprint: str = 'colors', batch_size: int = 4) -> None:
        self.model = SimpleNamespace(embed_dim=3, score_pairs=None)
        self.tokenizer = SimpleNamespace()
        self.fingerprint, self.batch_size = fingerprint, batch_size
        self.seen = 0
        self.last = -1  # images after which it is killed

    def encode_images(self, images: Sequence[Any]) -> Tensor:
        if 0 <= self.last <= self.seen:
            raise KeyboardInterrupt
        self.seen += len(images)
        means = np.stack([image.reshape(-1, 3).mean(axis=0) / 255 for image in images])
        return nn.functional.normalize(torch.from_numpy(means).float(), dim=1)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return torch.tensor([COLORS[text] for text in texts])


class Pointwise(nn.Module):
    """A backbone of which every position sees one pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 6, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.layer(image).tanh()


class Words(nn.Module):
    """A text encoder that nobody asks."""

    embed_dim = 5


class SmallEmbedder(Embedder):
    """A real retriever, without texts."""

    def __init__(self, side: int, image_encoder: dict[str, Any], batch_size: int = 4) -> None:
        preprocessor = dict(type='RetrievalDataPreprocessor', stats='imagenet')
        with DefaultScope.overwrite_default_scope(SCOPE):
            model = CrossModalRetriever(image_encoder, Words(), data_preprocessor=preprocessor)
        self.model = model.eval()
        self.pipeline = Compose([ResizeImage(side), PackRetrievalInputs()])
        self.batch_size = batch_size
        self._fingerprint = 'small'


def spots(height: int, width: int, *places: tuple[int, int, str], size: int = 32) -> np.ndarray:
    """Gray ground with squares of a color, by their upper left row and column, (3, H, W)."""
    pixels = np.full((3, height, width), 90, np.uint8)
    for row, column, color in places:
        for band, value in enumerate(COLORS[color]):
            pixels[band, row : row + size, column : column + size] = 255 * value
    return pixels


def raster(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    write_raster(path, pixels, **options)
    return path
