"""Reading features back from Parquet shards."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from urbancross_mm.datasets.feature_archive import advice
from urbancross_mm.datasets.feature_shards import (
    FEATS,
    MANIFEST,
    NAMES,
    STAMP_TYPES,
    missing_shards,
    read_plan,
    shard_count,
    shard_files,
    shard_metadata,
    shard_path,
)
from urbancross_mm.utils.hashing import FileStamp


def read_shards(path: str) -> dict[str, Any]:
    """All features of a folder or a pattern.

    Args:
        path (str): See :func:`shard_files`.

    Returns:
        dict[str, Any]: ``image_ids``, ``image_feats`` (float32, ``(N, C)``), ``texts``,
        ``text_feats`` (float32, ``(M, D)``), ``metadata`` and ``stamps``.

    Raises:
        ValueError: If a shard is missing, damaged, or of another run than the first one.
    """
    files = shard_files(path)
    metadata = [shard_metadata(file) for file in files]
    for file, other in zip(files, metadata):
        if other.get('fingerprint') != metadata[0].get('fingerprint'):
            raise ValueError(
                f'{files[0]} and {file} come from different runs: {advice(path)} --force'
            )
    if os.path.isdir(path):
        _check_complete(path)
    kinds = {kind: [f for f in files if NAMES[kind] in _columns(f)] for kind in NAMES}
    ids, image_feats, stamps = _read_kind('images', kinds['images'])
    texts, text_feats, _ = _read_kind('texts', kinds['texts'])
    return dict(
        image_ids=ids,
        image_feats=image_feats,
        texts=texts,
        text_feats=text_feats,
        metadata=metadata[0],
        stamps=stamps,
    )


class StampColumns(Sequence[FileStamp]):
    """States of millions of files: as columns they take a tenth of the memory.

    Args:
        tables (Sequence[pa.Table]): With the columns of :class:`FileStamp`.
    """

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        self.table = pa.concat_tables(tables).combine_chunks() if tables else pa.table({})

    def __len__(self) -> int:
        return self.table.num_rows

    def __getitem__(self, row: Any) -> Any:
        return FileStamp(*(self.table[name][row].as_py() for name in STAMP_TYPES))


def read_stamps(path: str | Path) -> StampColumns:
    """State of the images of a shard.

    Args:
        path (str | Path): The shard.

    Returns:
        StampColumns: One for each image.

    Raises:
        ValueError: If it cannot be read.
    """
    return StampColumns([_table(str(path)).select(list(STAMP_TYPES))])


def _read_kind(kind: str, files: Sequence[str]) -> tuple[list[str], np.ndarray, StampColumns]:
    """Names and features of some shards, one in memory at a time, and their stamps."""
    counts = [pq.read_metadata(file).num_rows for file in files]
    names: list[str] = []
    stamps = []
    feats = np.empty((0, 0), np.float32)
    for file in files:
        table = _table(file)
        rows = table[FEATS].combine_chunks()
        width = rows.type.list_size
        if not names:
            feats = np.empty((sum(counts), width), np.float32)
        if table.num_rows and width != feats.shape[1]:  # all its images may have been left out
            raise ValueError(f'{file} holds features {width} wide, {files[0]} {feats.shape[1]}')
        start = len(names)
        names += table[NAMES[kind]].to_pylist()
        feats[start : len(names)] = rows.flatten().to_numpy().reshape(-1, width)
        if not np.isfinite(feats[start : len(names)]).all():
            raise ValueError(f'{file} holds features that are not finite: make it again')
        if set(STAMP_TYPES) <= set(table.column_names):
            stamps.append(table.select(list(STAMP_TYPES)))
    if len(set(names)) != len(names):
        raise ValueError(f'{os.path.dirname(files[0])} lists some of its {kind} twice')
    return names, feats, StampColumns(stamps if len(stamps) == len(files) else [])


def _table(file: str) -> pa.Table:
    try:
        return pq.read_table(file)
    except Exception as error:
        raise ValueError(f'{file} is not a readable shard of features: {error}') from error


def _columns(file: str) -> list[str]:
    return pq.read_schema(file).names


def _check_complete(folder: str) -> None:
    """Refuse a folder that is not full yet."""
    if not (Path(folder) / MANIFEST).is_file():
        raise ValueError(f'{folder} has no {MANIFEST}: name its shards by a pattern, *.parquet')
    plan = read_plan(folder)
    for kind in NAMES:
        missing = missing_shards(folder, kind, plan)
        if missing:
            raise ValueError(
                f'{folder} lacks {len(missing)} of {shard_count(kind, plan)} shards of {kind}, the '
                f'first one {shard_path(folder, kind, missing[0]).name}: run '
                'tools/misc/extract_features.py again as before, it goes on where it stopped'
            )
