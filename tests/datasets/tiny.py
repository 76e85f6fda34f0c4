"""A dataset of a few small images, for the tests of the data path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco


def image(height: int = 40, width: int = 48, seed: int = 0) -> np.ndarray:
    """A smooth random RGB image."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def random_masks(count: int, height: int = 40, width: int = 48, seed: int = 0) -> np.ndarray:
    """Masks ``(H, W, K)`` of blobs that overlap."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    cy, cx, r = rng.random((3, count)) * np.array([[height], [width], [height / 2]]) + 2
    return (((y[..., None] - cy) ** 2 + (x[..., None] - cx) ** 2) < r**2).astype(np.uint8)


def sidecar(masks: np.ndarray, scores: list[float], image_size: tuple[int, int]) -> dict[str, Any]:
    """A sidecar with these masks ``(h, w, K)``."""
    segments = []
    for k, score in enumerate(scores):
        counts = coco.encode(np.asfortranarray(masks[..., k]))['counts'].decode()
        segments.append(
            dict(counts=counts, score=score, area=int(masks[..., k].sum()), bbox=[0, 0, 1, 1])
        )
    return dict(
        image_size=list(image_size), size=list(masks.shape[:2]), source='exact', segments=segments
    )


def item(name: str, captions: list[str], **more: Any) -> dict[str, Any]:
    """An entry of an annotation file."""
    return dict(
        img_id=f'tiny/{name}',
        img_path=f'{name}.png',
        captions=captions,
        caption_ids=[f'tiny/{name}#{k}' for k in range(len(captions))],
        domain='tiny',
        **more,
    )


def write(
    root: Path, items: list[dict[str, Any]], images: bool = True, **metainfo: Any
) -> dict[str, str]:
    """Write annotations, images and one sidecar; returns keywords for ImageTextDataset."""
    meta = dict(schema=1, dataset='tiny', domain='tiny', split='train', seed=0, sources={})
    (root / 'annotations').mkdir(parents=True, exist_ok=True)
    (root / 'images').mkdir(exist_ok=True)
    (root / 'segments').mkdir(exist_ok=True)
    content = dict(metainfo={**meta, **metainfo}, data_list=items)
    (root / 'annotations' / 'tiny.json').write_text(json.dumps(content))
    for index, one in enumerate(items if images else []):
        Image.fromarray(image(seed=index)).save(root / 'images' / one['img_path'])
        if one.get('segments'):
            made = sidecar(random_masks(3, seed=index), [0.3, 0.9, 0.6], (40, 48))
            (root / 'segments' / one['segments']).write_text(json.dumps(made))
    return dict(ann_file='annotations/tiny.json', data_root=str(root))
