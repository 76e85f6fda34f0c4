"""Files of pictures as a data set without captions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dataset import Compose, pseudo_collate
from torch.utils.data import Dataset

from urbancross_mm.utils.image_files import IMAGE_SUFFIXES, list_image_files


class PictureFiles(Dataset):
    """Pictures by path, each through the test pipeline; None for one that is left out."""

    def __init__(self, paths: list[str], pipeline: Compose, skip_bad: bool) -> None:
        self.paths = paths
        self.pipeline = pipeline
        self.skip_bad = skip_bad

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> tuple[int, dict[str, Any] | None]:
        try:
            return place, self.pipeline(picture_record(self.paths[place]))
        except (ValueError, OSError):
            if not self.skip_bad:
                raise
            return place, None


def picture_record(path: str) -> dict[str, Any]:
    """What a pipeline expects of a picture without captions."""
    return dict(img_id=path, img_path=path, domain='', captions=[], caption_ids=[],
                caption_text_ids=[], texts=[], text_ids=[], sample_idx=0)


def collate_pictures(items: list[tuple[int, dict[str, Any] | None]]) -> tuple[list[int], Any]:
    good = [(place, item) for place, item in items if item is not None]
    return [place for place, _ in good], pseudo_collate([item for _, item in good]) if good else {}


def list_pictures(images: str | Path | Sequence[str | Path]) -> list[str]:
    """List picture files.

    Args:
        images (str | Path | Sequence): A folder, searched with its subfolders, or paths.

    Returns:
        list[str]: Sorted if a folder was given.

    Raises:
        FileNotFoundError: If the folder does not exist or holds no picture.
    """
    if not isinstance(images, str | Path):
        return [str(path) for path in images]
    listing = list_image_files(images)
    if not listing.names:
        raise FileNotFoundError(f'no picture ({" ".join(IMAGE_SUFFIXES)}) below {images}'
                                f'{listing.remark and "; "}{listing.remark}')
    return listing.paths
