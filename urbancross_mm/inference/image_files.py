"""Files of images as a dataset without captions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.dataset import Compose, pseudo_collate
from torch.utils.data import Dataset

from urbancross_mm.utils.hashing import FileStamp
from urbancross_mm.utils.image_files import IMAGE_SUFFIXES, OTHER_SUFFIXES, list_image_files


@dataclass(frozen=True)
class ImageSet:
    """Images that are to be searched.

    Attributes:
        names (list[str]): Below the folder; paths if there is no folder.
        paths (list[str]): Where they are.
        folder (str): As it was given; '' for a list of paths.
        remark (str): What of the folder was passed over. Defaults to ''.
    """

    names: list[str]
    paths: list[str]
    folder: str
    remark: str = ''


class EncodedItem(NamedTuple):
    """An image after the pipeline, or None and None if it is left out."""

    place: int
    data: dict[str, Any] | None
    stamp: FileStamp | None


class ImageFiles(Dataset):
    """Images by path, each through the test pipeline; without data if one is left out."""

    def __init__(self, paths: list[str], pipeline: Compose, skip_bad: bool) -> None:
        self.paths = paths
        self.pipeline = pipeline
        self.skip_bad = skip_bad

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> EncodedItem:
        path = self.paths[place]
        try:
            before = os.stat(path) if os.path.isfile(path) else None
            data = self.pipeline(image_record(path))
            stamp = FileStamp.of(path)
        except (ValueError, OSError):
            if not self.skip_bad:
                raise
            return EncodedItem(place, None, None)
        if before is None or (before.st_size, before.st_mtime_ns) != stamp[:2]:
            raise ValueError(f'the image {path} was written while it was read: try again')
        return EncodedItem(place, data, stamp)


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


def collate_images(items: list[EncodedItem]) -> tuple[list[int], list[FileStamp], Any]:
    """Places, stamps and batch of the items that are not left out."""
    good = [item for item in items if item.data is not None]
    return (
        [item.place for item in good],
        [item.stamp for item in good if item.stamp],
        pseudo_collate([item.data for item in good]) if good else {},
    )


def find_images(images: str | Path | Sequence[str | Path]) -> ImageSet:
    """Look for images.

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
    return ImageSet(listing.names, listing.paths, str(images), listing.remark)


def list_images(images: str | Path | Sequence[str | Path]) -> list[str]:
    """List image files.

    Args:
        images (str | Path | Sequence): A folder, searched with its subfolders, or paths.

    Returns:
        list[str]: Sorted if a folder was given.

    Raises:
        FileNotFoundError: If the folder does not exist or holds no image.
    """
    return find_images(images).paths


def read_query(query: str) -> str | Path:
    """Tell whether a query is a sentence or the path of an image.

    A file that is there is an image. What looks like a path and is none is a mistake, not a
    sentence: a name with the suffix of an image, or with a slash and without a blank.

    Args:
        query (str): What was typed.

    Returns:
        str | Path: The sentence, or the path.

    Raises:
        FileNotFoundError: If it looks like an image that is not there.
        IsADirectoryError: If it is a folder.
        ValueError: If it is empty.
    """
    if not query.strip():
        raise ValueError('the query is empty: give a sentence, or the path of an image')
    if os.path.isfile(query):  # False, not an error, for a sentence longer than a name may be
        return Path(query)
    slash = os.sep in query and not any(sign.isspace() for sign in query)
    suffix = os.path.splitext(query)[1].lower() in (*IMAGE_SUFFIXES, *OTHER_SUFFIXES)
    if os.path.isdir(query) and (os.sep in query or not query.strip('.')):
        raise IsADirectoryError(
            f'the query {query!r} is a folder: give a sentence, or the path of one image'
        )
    if slash or suffix:
        raise FileNotFoundError(
            f'no image at {query!r}, and it is no sentence: a sentence has no '
            f'suffix such as {IMAGE_SUFFIXES[0]}, and blanks where it has '
            'slashes'
        )
    return query
