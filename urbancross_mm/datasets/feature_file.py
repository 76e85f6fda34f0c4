"""Precomputed features of frozen encoders: an ``.npz`` file, or a folder of shards."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.datasets.feature_archive import (
    STAMPS,
    advice,
    metadata_of,
    read_arrays,
    stamps_of,
)
from urbancross_mm.datasets.feature_shards import is_sharded, shard_files
from urbancross_mm.datasets.sharded_features import read_shards
from urbancross_mm.utils.files import atomic_write
from urbancross_mm.utils.hashing import FileStamp

# Files kept in memory: source and target of an adaptation, each perhaps in several files.
OPENED = 8


class FeatureFile:
    """One vector per image and one per caption, by ``img_id`` and by the caption itself.

    Args:
        path (str): A file of :func:`write_features`; or a folder of Parquet shards, or a pattern of
            their files (see :mod:`urbancross_mm.datasets.feature_shards`).

    Attributes:
        image_feats (np.ndarray): ``(N, C)``, float32, read-only.
        text_feats (np.ndarray): ``(M, D)``, float32, read-only.
        metadata (dict): Where the features come from.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a feature file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        content = read_shards(path) if is_sharded(path) else _read_archive(path)
        self.metadata: dict[str, Any] = content['metadata']
        self.image_feats = _floats(content['image_feats'])
        self.text_feats = _floats(content['text_feats'])
        self._stamps: Sequence[FileStamp] = content['stamps']
        self._checked: set[tuple[str, str]] = set()
        self._image_rows = {key: row for row, key in enumerate(content['image_ids'])}
        self._text_rows = {text: row for row, text in enumerate(content['texts'])}

    @property
    def image_ids(self) -> list[str]:
        """list[str]: Of the rows of ``image_feats``."""
        return list(self._image_rows)

    def has_image(self, img_id: str) -> bool:
        """Whether it holds an image."""
        return img_id in self._image_rows

    def has_text(self, text: str) -> bool:
        """Whether it holds a caption, exactly as it was encoded."""
        return text in self._text_rows

    def image(self, img_id: str) -> np.ndarray:
        """Features of an image.

        Args:
            img_id (str): Its id.

        Shape:
            - output: ``(C,)``.

        Returns:
            np.ndarray: A copy.

        Raises:
            ValueError: If the file does not hold the image.
        """
        row = self._image_rows.get(img_id)
        if row is None:
            raise ValueError(
                f'{self.path} has features of {len(self._image_rows)} images, but not of '
                f'{img_id!r}: {advice(self.path)}'
            )
        return self.image_feats[row].copy()

    def check_image(self, img_id: str, path: str) -> None:
        """Refuse features of an image that was replaced since. Checked once per process.

        Args:
            img_id (str): Its id.
            path (str): Its file, which may be missing.

        Raises:
            ValueError: If the file has other content now.
        """
        image = img_id, path
        if not self._stamps or image in self._checked or img_id not in self._image_rows:
            return
        stamp = self._stamps[self._image_rows[img_id]]
        if os.path.isfile(path) and stamp.renewed(path) is None:
            raise ValueError(
                f'the image {path} has changed since its features ({img_id!r}) were written to '
                f'{self.path}: {advice(self.path)} --force'
            )
        self._checked.add(image)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Features of captions.

        Args:
            texts (Sequence[str]): n captions, exactly as they were encoded.

        Shape:
            - output: ``(n, D)``.

        Returns:
            np.ndarray: A copy.

        Raises:
            ValueError: If the file does not hold one of them.
        """
        try:
            rows = [self._text_rows[text] for text in texts]
        except KeyError as error:
            raise ValueError(
                f'{self.path} has features of {len(self._text_rows)} captions, but not of '
                f'{error.args[0]!r}: {advice(self.path)}'
            ) from None
        return self.text_feats[rows]

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and other processes open the file; megabytes of features are not passed on."""
        return open_features, (self.path,)


def open_features(path: str) -> FeatureFile:
    """Open a feature file, once per process as long as it does not change.

    Args:
        path (str): The ``.npz`` file, or the folder or pattern of shards.

    Returns:
        FeatureFile: The same object for everyone who asks for the same file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds something else.
    """
    files = shard_files(path) if is_sharded(path) else [path]
    if not files or not all(map(os.path.isfile, files)):
        raise FileNotFoundError(
            f'feature file not found: {Path(path).absolute()} '
            f'({advice(path)}; the flag --sample runs every config on '
            'generated data instead)'
        )
    return _opened(os.path.abspath(path), *map(_state, files))


def write_features(
    path: str | Path,
    image_ids: Sequence[str],
    image_feats: np.ndarray,
    texts: Sequence[str],
    text_feats: np.ndarray,
    metadata: Mapping[str, Any],
    image_stamps: Sequence[FileStamp] = (),
) -> None:
    """Write a feature file, whole or not at all; the same content gives the same bytes.

    Args:
        path (str | Path): The ``.npz`` file.
        image_ids (Sequence[str]): N ids.
        image_feats (np.ndarray): Float16 or float32.
        texts (Sequence[str]): M captions.
        text_feats (np.ndarray): Float16 or float32.
        metadata (Mapping): Where they come from; must go into JSON.
        image_stamps (Sequence[FileStamp]): State of the N image files. Defaults to ():
            not known.

    Shape:
        - image_feats: ``(N, C)``
        - text_feats: ``(M, D)``

    Raises:
        ValueError: If names and rows differ in number, a name stands twice, or a value is not
            finite.
    """
    for what, names, feats in (('images', image_ids, image_feats), ('texts', texts, text_feats)):
        if feats.ndim != 2 or len(names) != len(feats) or len(set(names)) != len(names):
            raise ValueError(
                f'{len(set(names))} distinct of {len(names)} {what} for features of '
                f'shape {feats.shape}'
            )
        if not np.isfinite(feats).all():
            raise ValueError(f'the features of the {what} are not all finite')
    if len(image_stamps) not in (0, len(image_ids)):
        raise ValueError(f'{len(image_stamps)} stamps for {len(image_ids)} images')
    arrays: dict[str, Any] = dict(
        image_ids=np.array(image_ids, dtype=np.str_),
        image_feats=image_feats,
        texts=np.array(texts, dtype=np.str_),
        text_feats=text_feats,
        metadata=np.array(json.dumps(dict(metadata), sort_keys=True)),
    )
    if image_stamps:
        arrays[STAMPS] = np.array(image_stamps, dtype=np.str_)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    atomic_write(path, buffer.getvalue())


@lru_cache(maxsize=OPENED)
def _opened(path: str, *states: tuple[int, ...]) -> FeatureFile:
    return FeatureFile(path)


def _state(path: str) -> tuple[int, ...]:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _read_archive(path: str) -> dict[str, Any]:
    """What an ``.npz`` file holds, as :func:`read_shards` gives it."""
    content = read_arrays(path)
    names = {name: content[name].tolist() for name in ('image_ids', 'texts')}
    return dict(
        content, metadata=metadata_of(content, path), stamps=stamps_of(content, path), **names
    )


def _floats(feats: np.ndarray) -> np.ndarray:
    feats = feats.astype(np.float32, copy=False)
    feats.flags.writeable = False
    return feats
