"""Published ``image_segments/<stem>/<stem>_<k>.jpg`` folders to run-length masks.

A published segment is the whole image with everything outside the mask painted white, saved as a
JPEG: the mask is what is not white. Compression blurs the border by a pixel or two and leaves gray
specks in the white, so the threshold is approximate, and pixels that are white in the image
itself (bright roofs) look like background; specks and holes below ``clean`` pixels are repaired.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from urbancross_mm.datasets.converters.images import ImageFolder
from urbancross_mm.datasets.converters.sam_masks import SOURCE as SAM
from urbancross_mm.datasets.converters.sam_masks import (
    list_sam_files,
    read_sam_masks,
    stem_below,
)
from urbancross_mm.datasets.converters.segment_names import unfinished
from urbancross_mm.structures.segment_masks import encode_masks, stored_size, write_sidecar
from urbancross_mm.utils.image_files import has_image_suffix, is_hidden
from urbancross_mm.utils.images import read_image
from urbancross_mm.utils.progress import map_tracked

SOURCE = 'image_segments'


@dataclass
class Options:
    """What the command line decides.

    Attributes:
        root (Path): Data root with ``image_segments`` and, if available, ``images``.
        sam (Path | None): Output of SAM to read instead of ``image_segments``.
        out (Path | None): Folder for the sidecars; None: ``segments`` below the root.
        size (int): Bound for the longer side of the stored masks.
        white (int): A pixel is background if no channel is darker than this.
        clean (float): Specks and holes smaller than this part of the image are repaired.
        limit (int | None): Keep only the first segments by number; None keeps all.
        skip_bad (bool): Leave out images with an unreadable segment, and count them.
        workers (int): Threads.
        force (bool): Make files again that exist; else they are kept.
    """

    root: Path
    sam: Path | None = None
    out: Path | None = None
    size: int = 256
    white: int = 235
    clean: float = 0.001
    limit: int | None = None
    skip_bad: bool = False
    workers: int = 1
    force: bool = False

    def __post_init__(self) -> None:
        if (
            self.size < 1
            or (self.limit is not None and self.limit < 1)
            or not 0 <= self.clean < 1
            or not 0 <= self.white <= 255
        ):
            raise ValueError(
                'size and limit must be at least 1, clean in [0, 1) and white from 0 '
                f'to 255, got {self.size}, {self.limit}, {self.clean} and '
                f'{self.white}'
            )


@dataclass
class Summary:
    """What was converted.

    Attributes:
        images (int): Sidecars written.
        kept (int): Sidecars that were there before.
        segments (int): Masks in them.
        ignored (list[Path]): Files that are not a ``<stem>_<k>`` image.
        bad (list[str]): Why an image was left out, with ``skip_bad``.
    """

    images: int = 0
    kept: int = 0
    segments: int = 0
    ignored: list[Path] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)


def convert(options: Options) -> Summary:
    """Convert the segment folders of a dataset.

    Args:
        options (Options): See there.

    Returns:
        Summary: Counts.

    Raises:
        FileNotFoundError: If the ``image_segments`` folder or the output of SAM is missing.
        ValueError: If a segment cannot be decoded, or has another size than its image.
    """
    source = options.sam or options.root / 'image_segments'
    sources = list_sam_files(source) if options.sam else _list_folders(source)
    folder = options.root / 'images'
    images = ImageFolder(folder) if folder.is_dir() else None
    out = options.out or options.root / 'segments'
    jobs = [(path, out / f'{stem_below(path, source)}.json') for path in sources]
    todo = unfinished(jobs, options.force)
    summary = Summary(kept=len(jobs) - len(todo))
    work = partial(_convert_one, source=source, images=images, options=options)
    for count, ignored, problem in map_tracked(work, todo, 'segments', options.workers):
        summary.ignored += ignored
        if problem:
            summary.bad.append(problem)
        else:
            summary.images += 1
            summary.segments += count
    return summary


def mask_of(image: np.ndarray, white: int = 235, clean: int = 0) -> np.ndarray:
    """The boolean mask behind a segment painted on white.

    A pixel is background if no channel is darker than ``white``. Specks and holes of fewer than
    ``clean`` pixels are repaired, but never the whole mask.
    """
    mask = image.min(axis=2) < white
    if clean > 0:
        mask = ~_drop_small(~mask, clean, keep_largest=False)
        mask = _drop_small(mask, clean, keep_largest=True)
    return mask


def list_segments(folder: Path) -> tuple[list[Path], list[Path]]:
    """List the segments of an image by number, and the other files of its folder."""
    pattern = re.compile(re.escape(folder.name) + r'_(\d+)')
    numbered, ignored = [], []
    for path in sorted(folder.iterdir()):
        match = pattern.fullmatch(path.stem) if has_image_suffix(path) else None
        if match:
            numbered.append((int(match.group(1)), path))
        else:
            ignored.append(path)
    return [path for _, path in sorted(numbered)], ignored


def _list_folders(source: Path) -> list[Path]:
    if not source.is_dir():
        raise FileNotFoundError(f'no folder {source} (--sam reads the output of SAM)')
    folders = sorted(_innermost(source, frozenset(map(str, source.resolve().parents))))
    if not folders:
        raise FileNotFoundError(f'no folder of segments in {source}')
    return folders


def _innermost(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """Folders without a folder in them, below this one; links are followed, but not in circles."""
    above |= {os.path.realpath(folder)}
    for path in folder.iterdir():
        if not path.is_dir() or is_hidden(path.name) or os.path.realpath(path) in above:
            continue
        inner = list(_innermost(path, above))
        yield from inner or [path]


def _convert_one(
    job: tuple[Path, Path], source: Path, images: ImageFolder | None, options: Options
) -> tuple[int, list[Path], str | None]:
    """Write one sidecar: its number of segments, ignored files, and what went wrong."""
    path, target = job
    files, ignored = ([], []) if options.sam else list_segments(path)
    try:
        image = _image_of(stem_below(path, source), images)
        if options.sam:
            masks, scores, size = read_sam_masks(path, image, options.size, options.limit)
        else:
            masks, size = _read_masks(path, files[: options.limit], image, options)
            # No score is published. 1/rank keeps the order of the numbers, by falling area.
            scores = [1 / rank for rank in range(1, len(masks) + 1)]
    except (FileNotFoundError, ValueError) as error:
        if not options.skip_bad:
            raise
        return 0, ignored, str(error)
    sidecar = encode_masks(masks, scores, size, SAM if options.sam else SOURCE)
    write_sidecar(target, sidecar)
    return len(sidecar['segments']), ignored, None


def _image_of(stem: str, images: ImageFolder | None) -> tuple[Path, tuple[int, int]] | None:
    name = images and images.find(f'{stem}.jpg')
    if not images or not name:
        return None
    return images.folder / name, read_image(str(images.folder / name), draft=1)[1]


def _read_masks(
    folder: Path, files: list[Path], image: tuple[Path, tuple[int, int]] | None, options: Options
) -> tuple[np.ndarray, tuple[int, int]]:
    import cv2

    size = image and image[1]
    masks, target = [], (1, 1)
    for path in files:
        segment, segment_size = read_image(str(path))
        size = size or segment_size
        if segment_size != size:
            raise ValueError(
                f'mask of another size: {path} has {segment_size[0]} x {segment_size[1]} '
                f'pixels, its image {size[0]} x {size[1]}'
            )
        target = stored_size(size, options.size)
        mask = mask_of(segment, options.white, round(options.clean * size[0] * size[1]))
        masks.append(cv2.resize(mask.astype(np.uint8), target[::-1], interpolation=cv2.INTER_AREA))
    if size is None:
        raise ValueError(
            f'{folder} holds no segment and its image is not available, so the size is unknown'
        )
    return np.array(masks, dtype=np.uint8).reshape(-1, *stored_size(size, options.size)), size


def _drop_small(mask: np.ndarray, area: int, keep_largest: bool) -> np.ndarray:
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count <= 1:
        return mask
    keep = stats[:, cv2.CC_STAT_AREA] >= area
    if keep_largest:
        keep[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())] = True
    keep[0] = False
    return keep[labels]
