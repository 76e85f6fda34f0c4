"""Precomputed features in Parquet shards: a folder that many processes fill, and that resumes."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from urbancross_mm.datasets.feature_archive import advice
from urbancross_mm.utils.files import atomic_write
from urbancross_mm.utils.hashing import FileStamp
from urbancross_mm.utils.text_files import parse_json

MANIFEST = 'features.json'
# Kind of a shard, and its column of names.
NAMES = dict(images='img_id', texts='text')
FEATS = 'feats'
# Columns of a FileStamp.
STAMP_TYPES = dict(size=pa.int64(), mtime_ns=pa.int64(), ctime_ns=pa.int64(), digest=pa.string())
KEY = b'urbancross_mm'


def is_sharded(path: str) -> bool:
    """Whether features lie in shards: a folder, or a pattern of their files.

    Args:
        path (str): As a config names it.

    Returns:
        bool: False for a single ``.npz`` file, which may have signs of a pattern in its name.
    """
    return os.path.isdir(path) or (not os.path.isfile(path) and path.endswith('.parquet'))


def shard_path(folder: str | Path, kind: str, number: int) -> Path:
    """Name of a shard.

    Args:
        folder (str | Path): Of all shards.
        kind (str): ``'images'`` or ``'texts'``.
        number (int): From 0.

    Returns:
        Path: Its file.
    """
    return Path(folder) / f'{kind}-{number:05d}.parquet'


def shard_files(path: str) -> list[str]:
    """The shards of a folder or a pattern.

    Args:
        path (str): The folder; or such as ``features/images-0000?.parquet``.

    Returns:
        list[str]: Sorted; none if there are none.
    """
    if not os.path.isdir(path):
        return sorted(glob.glob(path))
    return sorted(
        file for kind in NAMES for file in glob.glob(f'{glob.escape(path)}/{kind}-*.parquet')
    )


def write_shard(
    path: str | Path,
    kind: str,
    names: Sequence[str],
    feats: np.ndarray,
    metadata: Mapping[str, Any],
    stamps: Sequence[FileStamp] = (),
) -> None:
    """Write a shard, whole or not at all.

    Args:
        path (str | Path): Of :func:`shard_path`.
        kind (str): ``'images'`` or ``'texts'``.
        names (Sequence[str]): n ids, or captions.
        feats (np.ndarray): Float32.
        metadata (Mapping): Where they come from; must go into JSON. With ``fingerprint``, which
            all shards of a folder share.
        stamps (Sequence[FileStamp]): State of the n image files. Defaults to (): not known.

    Shape:
        - feats: ``(n, C)``

    Raises:
        ValueError: If a value is not finite.
    """
    if not np.isfinite(feats).all():
        row = int((~np.isfinite(feats).all(axis=1)).argmax())
        raise ValueError(f'the features of {names[row]!r} are not all finite')
    values = pa.array(np.ascontiguousarray(feats, np.float32).reshape(-1))
    columns: dict[str, pa.Array] = {NAMES[kind]: pa.array(names, pa.string())}
    columns[FEATS] = pa.FixedSizeListArray.from_arrays(values, max(1, feats.shape[1]))
    if kind == 'images' and len(stamps) == len(names):
        for place, (name, dtype) in enumerate(STAMP_TYPES.items()):
            columns[name] = pa.array([stamp[place] for stamp in stamps], dtype)
    table = pa.table(columns).replace_schema_metadata(
        {KEY: json.dumps(dict(metadata), sort_keys=True)}
    )
    sink = pa.BufferOutputStream()
    # Floats do not shrink, and the columns of one value would cost their dictionary.
    pq.write_table(table, sink, compression='none', use_dictionary=False)
    atomic_write(path, sink.getvalue().to_pybytes())


def shard_metadata(path: str | Path) -> dict[str, Any]:
    """Where the features of a shard come from; its values are not read.

    Args:
        path (str | Path): The file.

    Returns:
        dict[str, Any]: As it was written.

    Raises:
        ValueError: If it is no shard of features, or a damaged one.
    """
    try:
        raw = pq.read_schema(path).metadata or {}
    except Exception as error:
        raise ValueError(f'{path} is not a readable shard of features: {error}') from error
    if KEY not in raw:
        raise ValueError(f'{path} is not a shard of features: {advice(str(Path(path).parent))}')
    metadata = parse_json(raw[KEY].decode(), f"{path}: '{KEY.decode()}'")
    if not isinstance(metadata, dict):
        raise ValueError(f'{path}: its metadata must be a JSON object, got {metadata!r:.80}')
    return metadata


def open_folder(folder: str | Path, plan: Mapping[str, Any], force: bool = False) -> None:
    """Begin a folder of shards, or go on with one of the same plan. Every process may call it.

    Args:
        folder (str | Path): Made if need be.
        plan (Mapping): What the shards will hold, with its ``fingerprint``; must go into JSON.
        force (bool): Replace the shards of another plan. Defaults to False.

    Raises:
        ValueError: If the folder holds shards of another plan; the message names what differs.
    """
    path = Path(folder) / MANIFEST
    if path.exists():
        old = read_plan(folder)
        if old['fingerprint'] == plan['fingerprint']:
            return
        if not force:
            raise ValueError(
                f'{folder} holds features of another run ({_difference(old, plan)}): take another '
                'folder, or --force to replace them'
            )
    for kind in NAMES if force else ():
        for file in glob.glob(f'{glob.escape(str(folder))}/{kind}-*.parquet'):
            # A process that is faster may have written shards of this plan.
            if not belongs(file, plan['fingerprint']):
                Path(file).unlink(missing_ok=True)
    atomic_write(path, json.dumps(dict(plan), sort_keys=True, indent=1))


def read_plan(folder: str | Path) -> dict[str, Any]:
    """What a folder of shards is to hold.

    Args:
        folder (str | Path): Of :func:`open_folder`.

    Returns:
        dict[str, Any]: As it was given there.

    Raises:
        ValueError: If it is damaged.
    """
    path = Path(folder) / MANIFEST
    plan = parse_json(path.read_text('utf-8'), str(path))
    if not isinstance(plan, dict) or not {*NAMES, 'shard_size', 'fingerprint'} <= set(plan):
        raise ValueError(f'{path} is not the plan of a folder of features: {advice(str(folder))}')
    return plan


def missing_shards(folder: str | Path, kind: str, plan: Mapping[str, Any]) -> list[int]:
    """Numbers of the shards of a plan that are not there, or belong to another one.

    Args:
        folder (str | Path): Of :func:`open_folder`.
        kind (str): ``'images'`` or ``'texts'``.
        plan (Mapping): With ``fingerprint``, ``shard_size`` and the number of the kind.

    Returns:
        list[int]: In order.
    """
    return [
        number
        for number in range(shard_count(kind, plan))
        if not belongs(shard_path(folder, kind, number), plan['fingerprint'])
    ]


def shard_count(kind: str, plan: Mapping[str, Any]) -> int:
    """Number of shards; of nothing one, which says how wide its features are.

    Args:
        kind (str): ``'images'`` or ``'texts'``.
        plan (Mapping): With ``shard_size`` and the number of the kind.

    Returns:
        int: At least 1.
    """
    return max(1, -(-plan[kind] // plan['shard_size']))


def belongs(path: str | Path, fingerprint: str) -> bool:
    """Whether a shard is there, whole, and of a plan.

    Args:
        path (str | Path): Of the shard.
        fingerprint (str): Of the plan.

    Returns:
        bool: False as well for a damaged file.
    """
    try:
        return os.path.isfile(path) and shard_metadata(path).get('fingerprint') == fingerprint
    except ValueError:
        return False


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    names = [name for name in new if old.get(name) != new[name] and name != 'fingerprint']
    return ', '.join(
        f'{name} {old.get(name)!r:.60} before, {new[name]!r:.60} now' for name in names
    )
