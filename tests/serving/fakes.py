"""A small index and a model that knows a few words, for the tests of the service."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import rasterio
import torch
from PIL import Image
from rasterio.transform import from_bounds

from urbancross_mm.inference.store_search import StoreSearch
from urbancross_mm.inference.stores import StoreItem, TorchStore
from urbancross_mm.serving.served_model import ServedModel

WORDS = ('harbor', 'river', 'forest', 'houses')
COLORS = dict(
    harbor=(40, 90, 160), river=(60, 130, 190), forest=(30, 110, 40), houses=(180, 90, 60)
)
PLACES = dict(finland=(24.9, 60.2), spain=(2.1, 41.4), germany=(13.4, 52.5))


class FakeTokenizer:
    """Knows all words but that of one animal."""

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.ones(len(texts), 3, dtype=torch.long)

    def unknown_words(self, text: str) -> list[str]:
        return [word for word in text.split() if word == 'zebra']


class FakeEmbedder:
    """One axis per word; an image lies on the axis of its nearest color."""

    fingerprint = 'f' * 64
    batch_size = 8

    def __init__(self, seconds: float = 0.0) -> None:
        self.model = SimpleNamespace(score_pairs=None, embed_dim=len(WORDS))
        self.tokenizer = FakeTokenizer()
        self.seconds = seconds

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        if any('slow' in text for text in texts):
            time.sleep(self.seconds)
        if any('broken' in text for text in texts):
            raise RuntimeError('secret detail of /etc/somewhere')
        rows = [[float(word in text) for word in WORDS] for text in texts]
        return torch.tensor(rows) + 0.01

    def encode_images(self, images: Sequence[np.ndarray]) -> torch.Tensor:
        means = [np.asarray(image).reshape(-1, 3).mean(axis=0) for image in images]
        rows = [[-np.linalg.norm(mean - COLORS[word]) / 50 for word in WORDS] for mean in means]
        near = torch.tensor(np.exp(rows), dtype=torch.float32)
        return torch.nn.functional.normalize(near)


def fake_items(
    folder: Path, number: int = 8, places: Mapping[str, tuple[float, float]] = PLACES
) -> list[StoreItem]:
    """For each word and country some images of its color, side by side."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    items = []
    for axis, word in enumerate(WORDS):
        for country, (lon, lat) in places.items():
            for count in range(number):
                path = folder / f'{country}_{word}_{count}.png'
                noise = random.integers(-20, 20, (32, 32, 3))
                Image.fromarray(np.clip(noise + COLORS[word], 0, 255).astype(np.uint8)).save(path)
                embed = np.full(len(WORDS), 0.1) + random.normal(0, 0.05, len(WORDS))
                embed[axis] += 1
                west, south = lon + 0.01 * count, lat + 0.01 * axis
                attributes = dict(
                    img_path=str(path),
                    lon=west + 0.004,
                    lat=south + 0.004,
                    bounds=[west, south, west + 0.008, south + 0.008],
                    country=country,
                    tags=[word, 'tile'],
                    captions=[f'some {word} near the road'],
                    duplicate_of=f'{country}/{word}/0' if count == 1 else None,
                )
                items.append(
                    StoreItem(
                        f'{country}/{word}/{count}',
                        (embed / np.linalg.norm(embed)).astype(np.float32),
                        attributes,
                    )
                )
    return items


def fake_model(
    folder: Path,
    name: str = 'adapted',
    seconds: float = 0.0,
    places: Mapping[str, tuple[float, float]] = PLACES,
) -> ServedModel:
    """A model over :func:`fake_items`."""
    embedder = FakeEmbedder(seconds)
    store = TorchStore(fingerprint=embedder.fingerprint)
    store.add(fake_items(folder, places=places))
    return ServedModel(name, StoreSearch(embedder, store))  # type: ignore[arg-type]


def fake_raster(path: Path, word: str = 'river', **options: object) -> Path:
    """Forest of 512 x 512 pixels near Kampala, with a square of another word's color inside."""
    pixels = np.empty((3, 512, 512), np.uint8)
    pixels[:] = np.array(COLORS['forest'], np.uint8)[:, None, None]
    pixels[:, 256:384, 256:384] = np.array(COLORS[word], np.uint8)[:, None, None]
    profile = dict(
        driver='GTiff', width=512, height=512, count=3, dtype='uint8', crs='EPSG:4326',
        transform=from_bounds(32.50, 0.30, 32.52, 0.32, 512, 512), photometric='RGB',
    )  # fmt: skip
    with rasterio.open(path, 'w', **{**profile, **options}) as file:
        file.write(pixels)
    return path
