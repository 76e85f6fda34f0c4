"""The segments of an image: run-length masks with score, area and box, one JSON file per image.

The only reader, writer and decoder of such sidecar files.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.structures.run_lengths import check_runs, decode_runs
from urbancross_mm.utils.files import atomic_write
from urbancross_mm.utils.text_files import decode_text, parse_json

Segment = dict[str, Any]
Sidecar = dict[str, Any]
# Path of the image that the masks belong to, and its height and width.
Owner = tuple[str, Sequence[int]]

# Masks whose runs are checked at a time.
CHUNK = 64


def stored_size(image_size: Sequence[int], longest: int | None) -> tuple[int, int]:
    """Size that masks are stored at.

    Args:
        image_size (Sequence[int]): Height and width of the image in pixels.
        longest (int | None): Bound for the longer side; None keeps the size of the image.

    Returns:
        tuple[int, int]: Height and width of the same aspect, never larger than the image.
    """
    height, width = image_size
    scale = min(1.0, (longest or max(image_size)) / max(image_size))
    return max(1, round(height * scale)), max(1, round(width * scale))


def encode_masks(
    masks: np.ndarray, scores: Sequence[float], image_size: Sequence[int], source: str
) -> Sidecar:
    """Make a sidecar of masks.

    Args:
        masks (np.ndarray): Boolean masks of one stored size; empty ones are left out.
        scores (Sequence[float]): One per mask; the highest is loaded first.
        image_size (Sequence[int]): Height and width of the image; areas and boxes are given in
            its pixels.
        source (str): What made the masks.

    Shape:
        - masks: ``(K, h, w)``.

    Returns:
        dict: ``image_size, size, source, segments``, the segments by falling score.

    Raises:
        ValueError: If a score is not finite.
    """
    from pycocotools import mask as coco

    masks = np.asarray(masks, dtype=np.uint8)
    size = masks.shape[1:]
    up, across = image_size[0] / size[0], image_size[1] / size[1]
    segments = []
    for mask, score in zip(masks, scores):
        if not mask.any():
            continue
        if not math.isfinite(score):
            raise ValueError(f'a mask of {source} has the score {score}')
        rle = coco.encode(np.asfortranarray(mask))
        x, y, w, h = coco.toBbox(rle).tolist()
        segments.append(
            dict(
                counts=rle['counts'].decode('ascii'),
                score=round(float(score), 6),
                area=round(float(coco.area(rle)) * up * across),
                bbox=[
                    round(x * across, 1),
                    round(y * up, 1),
                    round(w * across, 1),
                    round(h * up, 1),
                ],
            )
        )
    return dict(
        image_size=[int(side) for side in image_size],
        size=[int(side) for side in size],
        source=source,
        segments=best_first(segments),
    )


def best_first(segments: Sequence[Segment]) -> list[Segment]:
    """Sort segments by falling score; of equal ones, the larger comes first.

    Args:
        segments (Sequence[dict]): Of a sidecar.

    Returns:
        list[dict]: The same segments.
    """
    return sorted(segments, key=lambda segment: (-segment['score'], -segment['area']))


def decode_masks(sidecar: Sidecar) -> np.ndarray:
    """Masks of a sidecar, in its order.

    Args:
        sidecar (dict): With ``size`` and ``segments``, each with ``counts``.

    Shape:
        - output: ``(K, h, w)``.

    Returns:
        np.ndarray: Boolean masks at the stored size.

    Raises:
        ValueError: If the runs of a mask do not fill it; names no file.
    """
    return decode_runs(_counts(sidecar), sidecar['size']).view(bool)


def write_sidecar(path: str | Path, sidecar: Sidecar) -> None:
    """Write a sidecar, whole or not at all.

    Args:
        path (str | Path): ``.json`` file.
        sidecar (dict): Of :func:`encode_masks`.
    """
    atomic_write(path, json.dumps(sidecar, separators=(',', ':')) + '\n')


def read_sidecar(path: str | Path, owner: Owner | None = None, check_masks: bool = True) -> Sidecar:
    """Read a sidecar and check it.

    Args:
        path (str | Path): ``.json`` file.
        owner (tuple | None): Path of the image, and its height and width, which bound the masks.
            Defaults to None: not known.
        check_masks (bool): Also check that every mask can be decoded. Not needed before
            :func:`decode_masks`, which checks the same. Defaults to True.

    Returns:
        dict: ``image_size, size, source, segments``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not JSON, lacks a field, is for an image of another size, its masks are
            larger than their image or of another aspect, or the runs of a mask do not fill it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no segment file {path}')
    try:
        text = decode_text(Path(path).read_bytes(), 'it')
        sidecar = parse_json(text, 'it', nan=True)  # a score must be a number: see below
    except (OSError, ValueError) as error:
        raise ValueError(f'segment file {path} cannot be read: {error}') from error
    if (
        not isinstance(sidecar, dict)
        or not _is_size(sidecar.get('image_size'))
        or not _is_size(sidecar.get('size'))
        or not isinstance(sidecar.get('segments'), list)
    ):
        raise ValueError(
            f'segment file {path} does not follow the sidecar format: it must hold '
            "'image_size' and 'size' (height, width) and a list 'segments'"
        )
    for number, segment in enumerate(sidecar['segments']):
        if not _is_segment(segment):
            raise ValueError(
                f'segment file {path} does not follow the sidecar format: segment '
                f'{number} needs counts, a score and an area that is not negative'
            )
    _check_sizes(path, sidecar, owner)
    if check_masks:
        counts = _counts(sidecar)
        for start in range(0, len(counts), CHUNK):
            try:
                check_runs(counts[start : start + CHUNK], sidecar['size'])
            except ValueError as error:
                raise ValueError(
                    f'segment file {path}, counted from segment {start}: {error}'
                ) from error
    return sidecar


def _counts(sidecar: Sidecar) -> list[Any]:
    return [segment['counts'] for segment in sidecar['segments']]


def _check_sizes(path: str | Path, sidecar: Sidecar, owner: Owner | None) -> None:
    (height, width), (rows, columns) = sidecar['image_size'], sidecar['size']
    if owner is not None and tuple(owner[1]) != (height, width):
        raise ValueError(
            f'mask of another size: {path} is for an image of {height} x {width}, '
            f'{owner[0]} has {owner[1][0]} x {owner[1][1]}'
        )
    # Same aspect up to the rounding of one side.
    if abs(rows * width - columns * height) > max(height, width):
        what = 'have another aspect'
    elif rows > height or columns > width:
        what = 'are larger'
    else:
        return
    raise ValueError(
        f'segment file {path}: masks stored at {rows} x {columns} {what} than their '
        f'image of {height} x {width}'
    )


def _is_segment(segment: Any) -> bool:
    return (
        isinstance(segment, dict)
        and isinstance(segment.get('counts'), str | list)
        and bool(segment['counts'])
        and _is_number(segment.get('score'))
        and _is_number(segment.get('area'))
        and segment['area'] >= 0
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # no NaN


def _is_size(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(type(side) is int and side > 0 for side in value)
    )
