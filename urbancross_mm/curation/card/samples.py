"""Sample images of a dataset with their segments outlined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from urbancross_mm.curation.card.blocks import Figure, Gallery, Sample, Section
from urbancross_mm.curation.card.sources import Sources
from urbancross_mm.datasets.verification.leakage import Split
from urbancross_mm.structures.segment_masks import decode_masks, read_sidecar
from urbancross_mm.utils.images import read_image
from urbancross_mm.utils.paths import safe_join
from urbancross_mm.visualization import outline_masks

SIDE, CAPTIONS = 256, 5
UNREADABLE = 200


def samples(
    sources: Sources, data_root: str | Path, images: str, number: int, seed: int
) -> list[Section]:
    """Random images of train, val and test, the same for the same seed."""
    roots = dict(img_path=str(Path(data_root) / images), segments=str(Path(data_root) / 'segments'))
    return [
        Section(
            f'Samples of {split.name}',
            [
                Gallery(
                    [
                        _sample(item, f'{split.name}-{index:02d}', roots)
                        for index, item in enumerate(_choose(split, number, seed))
                    ]
                )
            ],
        )
        for split in sources.whole
        if split.items and number
    ]


def _choose(split: Split, number: int, seed: int) -> list[dict[str, Any]]:
    items = sorted(split.items, key=lambda item: item['img_id'])
    chosen = np.random.default_rng(seed).permutation(len(items))[:number]
    return [items[index] for index in sorted(chosen)]


def _sample(item: dict[str, Any], name: str, roots: dict[str, str]) -> Sample:
    pixels, problem = _draw(item, roots)
    lines = list(item['captions'][:CAPTIONS])
    if len(item['captions']) > CAPTIONS:
        lines.append(f'… and {len(item["captions"]) - CAPTIONS} more')
    if item.get('geo_tags'):
        lines.append(f'tags: {"; ".join(item["geo_tags"])}')
    if item.get('label'):
        lines.append(f'class: {item["label"]}')
    heard = [name for name in item.get('audio_paths') or () if name]
    if heard:
        more = f' and {len(heard) - 1} more' if len(heard) > 1 else ''
        lines.append(f'spoken: {heard[0]}{more}')
    if problem:
        lines.append(f'({problem})')
    return Sample(Figure(f'sample-{name}', pixels, item['img_id']), lines)


def _draw(item: dict[str, Any], roots: dict[str, str]) -> tuple[np.ndarray, str]:
    """The image with its segments, and the number of segments or what is wrong."""
    try:
        pixels, _ = read_image(safe_join(roots['img_path'], item['img_path']))
    except (OSError, ValueError):
        # The findings name the file; the sample does not depend on the folder.
        return np.full((SIDE, SIDE, 3), UNREADABLE, dtype=np.uint8), 'image cannot be read'
    scale = SIDE / max(pixels.shape[:2])
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    if not item.get('segments'):
        return small, ''
    try:
        path = safe_join(roots['segments'], item['segments'])
        masks = decode_masks(
            read_sidecar(path, (item['img_path'], pixels.shape[:2]), check_masks=False)
        )
    except (OSError, ValueError):
        return small, 'segments cannot be read'
    resized = [
        np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)) for mask in masks
    ]
    count = f'{len(masks)} segments' if len(masks) else 'no segment'
    return outline_masks(small, np.array(resized, dtype=bool)), count
