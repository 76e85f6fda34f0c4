"""Adding segment files to annotations that were converted before the segments were made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from urbancross_mm.datasets.converters.images import SidecarFiles
from urbancross_mm.structures.annotations import encode_file, load_annotations
from urbancross_mm.utils.files import atomic_write

Job = TypeVar('Job')


def fill_segments(paths: Sequence[str | Path], folder: str | Path) -> dict[str, tuple[int, int]]:
    """Set the field ``segments`` of every image to the file that it has in a folder.

    Each annotation file is replaced whole or not at all; nothing else in it changes. An image
    without a segment file loses the field: the whole image is then its only segment.

    Args:
        paths (Sequence[str | Path]): ``.json`` annotation files.
        folder (str | Path): Segment files, named like the images.

    Returns:
        dict[str, tuple[int, int]]: Images with a segment file, and all images, by path.

    Raises:
        FileNotFoundError: If an annotation file or the folder is not there.
        ValueError: If a file is not JSON or breaks the format.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f'no folder of segments at {folder}')
    for path in paths:
        if Path(path).suffix != '.json':
            raise ValueError(
                f'{path}: only .json annotations are filled in place; for another '
                'format run the caption converter again with --force'
            )
    files, counts = SidecarFiles(folder, '.json'), {}
    for path in paths:
        metainfo, items = load_annotations(str(path))
        for item in items:
            name = files.find(item['img_path'])
            if name is None:
                item.pop('segments', None)
            else:
                item['segments'] = name
        atomic_write(path, encode_file(path, metainfo, items))
        counts[str(path)] = (sum('segments' in item for item in items), len(items))
    return counts


def fill_and_report(paths: Sequence[str | Path], folder: str | Path) -> None:
    """Fill annotation files, if there are any, and print one line per file."""
    if paths:
        for path, (count, total) in fill_segments(paths, folder).items():
            print(f'{path}: {count} of {total} images have a segment file')


def unfinished(jobs: Iterable[tuple[Job, Path]], force: bool) -> list[tuple[Job, Path]]:
    """Leave out the jobs whose output exists, so that an interrupted run resumes.

    Files are written whole or not at all, so one that exists is complete.
    """
    return [(job, target) for job, target in jobs if force or not target.exists()]
