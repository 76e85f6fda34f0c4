"""Image files as a dataset without captions, and the queries that name them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.dataset import Compose, pseudo_collate
from torch import Tensor
from torch.utils.data import Dataset

from urbancross_mm.datasets.transforms.loading import LoadImage
from urbancross_mm.utils.hashing import FileStamp
from urbancross_mm.utils.image_files import (
    IMAGE_SUFFIXES,
    OTHER_SUFFIXES,
    SOUND_SUFFIXES,
    list_image_files,
)


@dataclass(frozen=True)
class ImageSet:
    """Images to search.

    Attributes:
        names (list[str]): Paths below the folder; full paths if there is no folder.
        paths (list[str]): Full paths.
        folder (str): As it was given; '' for a list of paths.
        remark (str): What was skipped in the folder. Defaults to ''.
        missing (Sequence[str]): Parts of the folder that cannot be read now. Defaults to ().
    """

    names: list[str]
    paths: list[str]
    folder: str
    remark: str = ''
    missing: Sequence[str] = ()


class ImageItem(NamedTuple):
    """An image after the pipeline. Data is None if it is left out, and the stamp as well if it
    cannot be read; with a stamp, the image has nothing to see.
    """

    position: int
    data: dict[str, Any] | None
    stamp: FileStamp | None


class EncodedFiles(NamedTuple):
    """Image files that were encoded.

    Attributes:
        positions: Of the images, among the paths that were given.
        embeds: One row per image.
        stamps: What each file was when it was read.
        empty: Positions of images in which there is nothing to see.
    """

    positions: list[int]
    embeds: Tensor
    stamps: list[FileStamp]
    empty: Sequence[int] = ()


class ImageFiles(Dataset):
    """Images by path, each through the test pipeline."""

    def __init__(self, paths: list[str], pipeline: Compose, skip_bad: bool) -> None:
        self.paths = paths
        self.pipeline = pipeline
        self.skip_bad = skip_bad

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> ImageItem:
        path = self.paths[position]
        try:
            before = os.stat(path) if os.path.isfile(path) else None
            data = self.load(path)
            stamp = FileStamp.of(path)
        except (ValueError, OSError):
            if not self.skip_bad:
                raise
            return ImageItem(position, None, None)
        if before is None or (before.st_size, before.st_mtime_ns) != stamp[:2]:
            if self.skip_bad:
                return ImageItem(position, None, None)
            raise ValueError(f'the image {path} changed while it was read: try again')
        return ImageItem(position, data, stamp)

    def load(self, path: str) -> dict[str, Any]:
        """Read one file and run the pipeline."""
        return self.pipeline(image_record(path))


def image_record(path: str) -> dict[str, Any]:
    """What a pipeline expects of an image without captions."""
    return dict(
        img_id=path,
        img_path=path,
        domain='',
        captions=[],
        caption_ids=[],
        caption_text_ids=[],
        texts=[],
        text_ids=[],
        sample_idx=0,
    )


def load_image(image: str | Path | np.ndarray, pipeline: Compose) -> dict[str, Any]:
    """An image through a pipeline; an array as if it had been loaded from a file."""
    if not isinstance(image, np.ndarray):
        return pipeline(image_record(str(image)))
    shape = image.shape[:2]
    item = dict(image_record(''), img=image, img_shape=shape, ori_shape=shape)
    for step in pipeline.transforms:
        if not isinstance(step, LoadImage):
            item = step(item)
    return item


def collate_images(
    items: list[ImageItem],
) -> tuple[list[int], list[FileStamp], Any, list[int]]:
    """Positions, stamps and batch of the items that are not left out; positions of empty ones."""
    kept = [item for item in items if item.data is not None]
    return (
        [item.position for item in kept],
        [item.stamp for item in kept if item.stamp],
        pseudo_collate([item.data for item in kept]) if kept else {},
        [item.position for item in items if item.data is None and item.stamp is not None],
    )


def find_images(images: str | Path | Sequence[str | Path]) -> ImageSet:
    """List images.

    Args:
        images (str | Path | Sequence): A folder, searched with its subfolders, or paths.

    Returns:
        ImageSet: Sorted by name if a folder was given.

    Raises:
        FileNotFoundError: If the folder does not exist or holds no image.
    """
    if not isinstance(images, str | Path):
        paths = [str(path) for path in images]
        return ImageSet(paths, paths, '')
    listing = list_image_files(images)
    if not listing.names:
        remark = f' ({listing.remark})' if listing.remark else ''
        raise FileNotFoundError(f'no image ({" ".join(IMAGE_SUFFIXES)}) below {images}{remark}')
    return ImageSet(listing.names, listing.paths, str(images), listing.remark, listing.missing)


def read_query(query: str) -> str | Path:
    """Tell whether a query is a text or the path of an image or a recording.

    An existing file is one of them. A query that looks like a path, but does not exist, is a
    mistake and not a text. It has the suffix of such a file, or a slash and no blank.

    Args:
        query (str): What the user typed.

    Returns:
        str | Path: The text, or the path.

    Raises:
        FileNotFoundError: If it looks like an image that does not exist.
        IsADirectoryError: If it is a folder.
        ValueError: If it is empty.
    """
    if not query.strip():
        raise ValueError('the query is empty: give a text, or the path of an image')
    if os.path.isfile(query):  # False, not an error, for a text longer than a name may be
        return Path(query)
    slash = os.sep in query and not any(character.isspace() for character in query)
    suffix = os.path.splitext(query)[1].lower() in (
        *IMAGE_SUFFIXES,
        *OTHER_SUFFIXES,
        *SOUND_SUFFIXES,
    )
    if os.path.isdir(query) and (os.sep in query or not query.strip('.')):
        raise IsADirectoryError(
            f'the query {query!r} is a folder: give a text, or the path of one image'
        )
    if slash or suffix:
        raise FileNotFoundError(
            f'no image at {query!r}, and it does not look like a text: a text has blanks beside '
            f'its slashes, and does not end in a suffix such as {IMAGE_SUFFIXES[0]}'
        )
    return query
