"""Reading the output of Segment Anything, one image at a time.

- ``amg.py`` writes a folder for each image: ``0.png``, ``1.png``, ... and ``metadata.csv``;
- with ``--convert-to-rle`` one ``<stem>.json`` for each image, a list of masks;
- SA-1B has one ``<stem>.json`` for each image, ``{image: {...}, annotations: [...]}``.

The runs of a mask are compressed, or a list of lengths. Its score is ``predicted_iou``.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from urbancross_mm.structures.segment_masks import decode_masks, stored_size
from urbancross_mm.utils.image_files import is_hidden
from urbancross_mm.utils.images import read_class_map
from urbancross_mm.utils.text_files import read_json

SOURCE = 'sam'
TABLE = 'metadata.csv'
Size = tuple[int, int]


def list_sam_files(folder: Path) -> list[Path]:
    """List what SAM wrote, one entry per image.

    Hidden files and folders, and those of the system, are skipped. Links are followed.
    An entry is a ``.json`` file, or a folder with a table of masks.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f'no folder {folder}')
    outputs = sorted(_outputs(folder, frozenset(map(str, folder.resolve().parents))))
    if not outputs:
        raise FileNotFoundError(f'no output of SAM (.json, or folders with {TABLE}) in {folder}')
    if folder in outputs:
        raise ValueError(f'{folder} is the output of SAM for one image: give the folder above it')
    by_stem = {stem_below(path, folder): path for path in outputs}
    for path in outputs:
        other = by_stem[stem_below(path, folder)]
        if other != path:
            raise ValueError(f'two outputs of SAM for one image: {path} and {other}')
    return outputs


def _outputs(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """Those below a folder; no link leads back to one above."""
    above |= {os.path.realpath(folder)}
    for path in folder.iterdir():
        if is_hidden(path.name):
            continue
        if path.is_dir():
            if os.path.realpath(path) not in above:
                yield from _outputs(path, above)
        elif path.suffix.lower() == '.json':
            yield path
        elif path.name == TABLE:
            yield folder


def stem_below(path: Path, folder: Path) -> str:
    """Relative path of the image without its suffix."""
    name = path.relative_to(folder)
    return (name if path.is_dir() else name.with_suffix('')).as_posix()


def read_sam_masks(
    path: Path, image: tuple[Path, Size] | None, longest: int, limit: int | None
) -> tuple[np.ndarray, list[float], Size]:
    """Read the masks of an image, best first: uint8 ``(K, h, w)`` at the stored size.

    Returns also their scores and the size of the image. ``image`` is the path and size of the image
    where it is available, ``longest`` bounds the longer side of the stored masks.
    """
    import cv2

    records = _table_of(path) if path.is_dir() else _records_of(path)
    records.sort(key=lambda record: -record['score'])
    masks, size = [], image and image[1]
    for number, mask in _decoded(path, records[:limit], image):
        if size is not None and mask.shape != tuple(size):
            raise ValueError(
                f'mask of another size: mask {number} of {path} has {mask.shape[0]} x '
                f'{mask.shape[1]} pixels, its image {size[0]} x {size[1]}'
            )
        size = mask.shape
        masks.append(
            cv2.resize(mask, stored_size(size, longest)[::-1], interpolation=cv2.INTER_AREA)
        )
    if size is None:
        raise ValueError(
            f'{path} holds no mask and its image is not available, so the size is unknown'
        )
    return (
        np.array(masks, dtype=np.uint8).reshape(-1, *stored_size(size, longest)),
        [record['score'] for record in records[:limit]],
        (int(size[0]), int(size[1])),
    )


def _decoded(
    path: Path, records: list[dict[str, Any]], image: tuple[Path, Size] | None
) -> Iterator[tuple[str, np.ndarray]]:
    """Masks of zeros and ones, one in memory at a time."""
    for record in records:
        if 'file' in record:
            yield record['file'].name, (read_class_map(str(record['file'])) > 0).astype(np.uint8)
            continue
        number, size = record['number'], record['size']
        if image is not None and tuple(size) != image[1]:
            raise ValueError(
                f'mask of another size: mask {number} of {path} has {size[0]} x '
                f'{size[1]} pixels, {image[0]} has {image[1][0]} x {image[1][1]}'
            )
        try:
            mask = decode_masks(dict(size=size, segments=[record]))[0]
        except ValueError as error:
            raise ValueError(f'mask {number} of {path} is broken: {error}') from error
        yield number, np.ascontiguousarray(mask).view(np.uint8)


def _table_of(folder: Path) -> list[dict[str, Any]]:
    """Files and scores of a folder of masks."""
    table = folder / TABLE
    records: list[dict[str, Any]] = []
    try:
        with open(table, encoding='utf-8-sig', newline='') as file:
            for row in csv.DictReader(file, strict=True):
                score = _score(row.get('predicted_iou'))
                if (
                    None in row
                    or None in row.values()
                    or score is None
                    or not row.get('id', '').isdecimal()
                ):
                    raise ValueError(
                        f'line {len(records) + 2} must hold as many values as the '
                        'first, with a number id and a finite predicted_iou'
                    )
                records.append(dict(file=folder / f'{int(row["id"])}.png', score=score))
                if records[-1]['file'] in [record['file'] for record in records[:-1]]:
                    raise ValueError(f'the id {row["id"]} is used twice')
    except (csv.Error, ValueError) as error:
        raise ValueError(f'table of masks {table} cannot be read: {error}') from error
    return records


def _records_of(path: Path) -> list[dict[str, Any]]:
    """Runs, sizes and scores of a file of masks."""
    try:
        content = read_json(path, nan=True)
    except ValueError as error:
        raise ValueError(f'file of masks {error}') from error
    listed = content.get('annotations') if isinstance(content, dict) else content
    if not isinstance(listed, list):
        raise ValueError(f"file of masks {path} must hold a list of masks, or one in 'annotations'")
    return [_record(path, number, record) for number, record in enumerate(listed)]


def _record(path: Path, number: int, record: Any) -> dict[str, Any]:
    record = record if isinstance(record, dict) else {}
    runs, score = record.get('segmentation'), _score(record.get('predicted_iou'))
    if (
        not isinstance(runs, dict)
        or score is None
        or not isinstance(runs.get('counts'), str | list)
    ):
        raise ValueError(
            f'mask {number} of {path} must hold a segmentation of counts and size, '
            'and a finite predicted_iou'
        )
    size = runs.get('size')
    if (
        not isinstance(size, list)
        or len(size) != 2
        or any(type(side) is not int or side < 1 for side in size)
        or size[0] * size[1] > 2 * (Image.MAX_IMAGE_PIXELS or math.inf)
    ):
        raise ValueError(f'mask {number} of {path} has the size {size}, which no image has')
    return dict(number=str(number), size=size, counts=runs['counts'], score=score)


def _score(value: Any) -> float | None:
    try:
        score = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return score if math.isfinite(score) else None
