"""What a feature file holds on disk, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from urbancross_mm.utils.files import check_archive_size
from urbancross_mm.utils.hashing import FileStamp
from urbancross_mm.utils.text_files import parse_json

ARRAYS = ('image_ids', 'image_feats', 'texts', 'text_feats', 'metadata')
# Files of earlier versions lack them.
STAMPS = 'image_stamps'
# numpy may have compressed the file; features of floats shrink little.
MOST_SHRUNK = 20


def read_arrays(path: str) -> dict[str, np.ndarray]:
    """All arrays of the file; :data:`STAMPS` may be missing."""
    check_archive_size(path, 'the features', MOST_SHRUNK)
    try:
        with np.load(path, allow_pickle=False) as archive:
            content = {name: archive[name] for name in (*ARRAYS, STAMPS) if name in archive}
    except Exception as error:
        # Not a zip, a truncated one, one that needs unpickling, a single array, or a header that
        # asks for more memory than there is: which exception comes depends on the damage.
        raise ValueError(f'{path} is not a readable feature file: {error}') from error
    missing = [name for name in ARRAYS if name not in content]
    if missing:
        raise ValueError(
            f'{path} is not a feature file, it lacks {", ".join(missing)}: {advice(path)}'
        )
    for names, feats in (ARRAYS[:2], ARRAYS[2:4]):
        _check_rows(path, names, content[names], feats, content[feats])
    if STAMPS in content and (
        content[STAMPS].dtype.kind != 'U' or content[STAMPS].shape != (len(content['image_ids']), 4)
    ):
        raise ValueError(
            f'{path} has {STAMPS} of shape {content[STAMPS].shape} for '
            f'{len(content["image_ids"])} images'
        )
    return content


def _check_rows(path: str, what: str, names: np.ndarray, feats: str, rows: np.ndarray) -> None:
    if names.ndim != 1 or rows.ndim != 2 or len(names) != len(rows):
        raise ValueError(f'{path} has {names.size} {what} for {feats} of shape {rows.shape}')
    if names.dtype.kind != 'U' or rows.dtype.kind != 'f':
        raise ValueError(
            f'{path} must hold texts as {what} and floats as {feats}, got '
            f'{names.dtype} and {rows.dtype}'
        )
    if len(set(names.tolist())) != len(names):
        raise ValueError(f'{path} lists some of its {what} twice')
    if not np.isfinite(rows).all():
        raise ValueError(f'{path} holds {feats} that are not finite: {advice(path)}')


def metadata_of(content: Mapping[str, np.ndarray], path: str) -> dict[str, Any]:
    """Where the features come from."""
    metadata = parse_json(str(content['metadata']), f"{path}: 'metadata'")
    if not isinstance(metadata, dict):
        raise ValueError(f"{path}: 'metadata' must be a JSON object, got {metadata!r:.80}")
    return metadata


def stamps_of(content: Mapping[str, np.ndarray], path: str) -> list[FileStamp]:
    """State of the image files; none if it is not known."""
    rows = content.get(STAMPS, np.empty((0, 4), dtype=np.str_)).tolist()
    try:
        return [
            FileStamp(int(size), int(mtime), int(ctime), digest)
            for size, mtime, ctime, digest in rows
        ]
    except ValueError as error:
        raise ValueError(f'{path} has {STAMPS} that are not numbers: {error}') from error


def advice(path: str) -> str:
    """How to make the file."""
    return f'make it with tools/misc/extract_features.py CONFIG --out {path}'
