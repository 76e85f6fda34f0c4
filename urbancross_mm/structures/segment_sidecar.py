"""Segment sidecars: run-length masks with score, area and box, one JSON a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.utils.files import atomic_write

Sidecar = dict[str, Any]


def stored_size(image_size: Sequence[int], longest: int | None) -> tuple[int, int]:
    """Size that masks are stored at.

    Args:
        image_size (Sequence[int]): Height and width of the picture in pixels.
        longest (int | None): Bound for the longer side; None keeps the size of the picture.

    Returns:
        tuple[int, int]: Height and width of the same aspect, never larger than the picture.
    """
    height, width = image_size
    scale = min(1.0, (longest or max(image_size)) / max(image_size))
    return max(1, round(height * scale)), max(1, round(width * scale))


def encode_masks(masks: np.ndarray, scores: Sequence[float], image_size: Sequence[int],
                 source: str) -> Sidecar:
    """Make a sidecar of masks.

    Args:
        masks (np.ndarray): Boolean masks of one stored size; empty ones are left out.
        scores (Sequence[float]): One a mask; the highest is loaded first.
        image_size (Sequence[int]): Height and width of the picture; areas and boxes are given in
            its pixels.
        source (str): What made the masks.

    Shape:
        - masks: ``(K, h, w)``.

    Returns:
        dict: ``image_size, size, source, segments``, the segments by falling score.
    """
    from pycocotools import mask as coco

    masks = np.asarray(masks, dtype=np.uint8)
    size = masks.shape[1:]
    up, across = image_size[0] / size[0], image_size[1] / size[1]
    segments = []
    for mask, score in zip(masks, scores):
        if not mask.any():
            continue
        rle = coco.encode(np.asfortranarray(mask))
        x, y, w, h = coco.toBbox(rle).tolist()
        segments.append(dict(
            counts=rle['counts'].decode('ascii'), score=round(float(score), 6),
            area=round(float(coco.area(rle)) * up * across),
            bbox=[round(x * across, 1), round(y * up, 1), round(w * across, 1), round(h * up, 1)]))
    segments.sort(key=lambda segment: (-segment['score'], -segment['area']))
    return dict(image_size=[int(side) for side in image_size], size=[int(side) for side in size],
                source=source, segments=segments)


def decode_masks(sidecar: Sidecar) -> np.ndarray:
    """Masks of a sidecar, in its order.

    Args:
        sidecar (dict): As :func:`read_sidecar` returns it.

    Shape:
        - output: ``(K, h, w)``.

    Returns:
        np.ndarray: Boolean masks at the stored size.
    """
    from pycocotools import mask as coco

    height, width = sidecar['size']
    if not sidecar['segments']:
        return np.zeros((0, height, width), dtype=bool)
    rles = [dict(size=[height, width], counts=segment['counts'].encode('ascii'))
            for segment in sidecar['segments']]
    return coco.decode(rles).transpose(2, 0, 1).astype(bool)


def write_sidecar(path: str | Path, sidecar: Sidecar) -> None:
    """Write a sidecar, whole or not at all.

    Args:
        path (str | Path): ``.json`` file.
        sidecar (dict): Of :func:`encode_masks`.
    """
    atomic_write(path, json.dumps(sidecar, separators=(',', ':')) + '\n')


def read_sidecar(path: str | Path) -> Sidecar:
    """Read a sidecar and check its form.

    Args:
        path (str | Path): ``.json`` file.

    Returns:
        dict: ``image_size, size, source, segments``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON, or lacks a field.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no segment file {path}')
    try:
        sidecar = json.loads(Path(path).read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'segment file {path} is not valid JSON: {error}') from error
    if not isinstance(sidecar, dict) or not _is_size(sidecar.get('image_size')) \
            or not _is_size(sidecar.get('size')) or not isinstance(sidecar.get('segments'), list):
        raise ValueError(f"segment file {path} must hold 'image_size' and 'size' (height, width) "
                         "and a list 'segments'")
    for number, segment in enumerate(sidecar['segments']):
        if not isinstance(segment, dict) or not segment.get('counts') \
                or not isinstance(segment.get('score'), int | float) or 'area' not in segment:
            raise ValueError(f'segment file {path}, segment {number}: needs counts, score and area')
    return sidecar


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(
        isinstance(side, int) and side > 0 for side in value)
