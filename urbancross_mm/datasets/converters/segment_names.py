"""Naming segment files in annotations that were converted before there were any."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from urbancross_mm.datasets.converters.images import Companions
from urbancross_mm.structures.annotations import load_annotations
from urbancross_mm.utils.files import atomic_write

Job = TypeVar('Job')


def fill_segments(paths: Sequence[str | Path], folder: str | Path) -> dict[str, tuple[int, int]]:
    """Set the field ``segments`` of every image to the file that it has in a folder.

    Each annotation file is replaced whole or not at all; nothing else in it changes. An image
    without a file loses the field, and is then its own only segment.

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
    known, counts = Companions(folder, '.json'), {}
    for path in paths:
        metainfo, items = load_annotations(str(path))
        for item in items:
            name = known.find(item['img_path'])
            if name is None:
                item.pop('segments', None)
            else:
                item['segments'] = name
        content = dict(metainfo=metainfo, data_list=items)
        atomic_write(path, json.dumps(content, ensure_ascii=False, indent=1) + '\n')
        counts[str(path)] = (sum('segments' in item for item in items), len(items))
    return counts


def unfinished(jobs: Iterable[tuple[Job, Path]], force: bool) -> list[tuple[Job, Path]]:
    """Leave out the jobs whose output is there, so that an interrupted run goes on.

    Files are written whole or not at all: one that exists is complete.

    Args:
        jobs (Iterable[tuple]): What to convert, and the file to write.
        force (bool): Leave out none.

    Returns:
        list[tuple]: The rest.
    """
    return [(job, target) for job, target in jobs if force or not target.exists()]
