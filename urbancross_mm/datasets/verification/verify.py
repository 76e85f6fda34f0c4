"""Checking a converted dataset before training on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

from urbancross_mm.datasets.caption_lengths import remark_on_words
from urbancross_mm.datasets.verification.image_checks import check_images, compare_datasets
from urbancross_mm.datasets.verification.leakage import (
    FITTED,
    Split,
    check_duplicates,
    check_ids,
    compare,
)
from urbancross_mm.datasets.verification.recordings import check_recordings, recorded
from urbancross_mm.datasets.verification.report import Report
from urbancross_mm.structures.annotation_schema import FOLDERS, item_problems
from urbancross_mm.structures.annotations import read_annotations
from urbancross_mm.structures.class_maps import check_same_size, read_checked_map
from urbancross_mm.structures.segment_masks import read_sidecar
from urbancross_mm.utils.paths import safe_join
from urbancross_mm.utils.progress import map_tracked


def verify(
    paths: Sequence[str],
    data_root: str,
    folders: dict[str, str] | None = None,
    workers: int = 1,
    distance: int = 2,
    shown: int = 5,
    pixels: bool = True,
    against: Sequence[tuple[str, str]] = (),
) -> Report:
    """Check annotation files and everything they name.

    Errors: whatever the dataset would refuse (a missing field, an empty caption, an id used
    twice, a name that leaves its folder), images that are missing or cannot be decoded to the
    end, the same image in two splits that must not share one, segment files or class maps that
    are missing, broken or of another size than their image, class maps with a value of no class,
    recordings that are missing or cannot be decoded to the end.
    A file that names classes and has no caption at all is for segmentation. Warnings: identical
    files within a split, similar images across splits, silent recordings.
    Captions shared by splits are information.
    An image that another dataset has too, or one like it, is an error.

    Args:
        paths (Sequence[str]): Annotation files of one dataset.
        data_root (str): Folder of the data.
        folders (dict | None): Folders below it by field. Defaults to None: ``images``,
            ``segments``, ``seg_maps`` and ``audio``.
        workers (int): Threads that decode. Defaults to 1.
        distance (int): Bits of a 64-bit difference hash that may differ between similar images.
            Defaults to 2.
        shown (int): Examples of each finding to keep. Defaults to 5.
        pixels (bool): Decode images, masks and recordings; else they are only looked for.
            Defaults to True.
        against (Sequence[tuple[str, str]]): Annotation files of other datasets and their folders of
            images, which must share no image with these. Defaults to ().

    Returns:
        Report: The findings, and the images that other datasets share.

    Raises:
        FileNotFoundError: If an annotation file or the folder of images is not there.
        ValueError: If an annotation file cannot be read at all, or ``against`` is without pixels.
    """
    if against and not pixels:
        raise ValueError('datasets are compared by their pixels: leave --no-pixels out')
    roots = {
        key: str(Path(data_root) / name) for key, name in {**FOLDERS, **(folders or {})}.items()
    }
    if not Path(roots['img_path']).is_dir():
        raise FileNotFoundError(f'no folder of images at {roots["img_path"]}')
    report = Report(shown)
    splits = [_read(path, report) for path in paths]
    check_splits(splits, roots, report, workers, distance, pixels)
    compare_datasets(splits, roots['img_path'], against, report, workers, distance)
    report.rows = [_row(split) for split in splits]
    return report


def sound_split(
    path: str,
    metainfo: dict[str, Any],
    items: Iterable[Any],
    captions_required: bool,
    report: Report,
) -> Split:
    """Report the items that a dataset would refuse, and keep the others."""
    items = list(items)
    problems = dict(item_problems(items, path, captions_required))
    for problem in problems.values():
        report.add('error', 'wrong item', problem)
    sound = [
        dict(item, captions=item.get('captions') or [])
        for index, item in enumerate(items)
        if index not in problems
    ]
    classes = metainfo.get('classes')
    return Split(
        path,
        str(metainfo.get('split') or Path(path).stem),
        sound,
        num_classes=None if classes is None else len(classes),
    )


def check_splits(
    splits: Sequence[Split],
    roots: dict[str, str],
    report: Report,
    workers: int = 1,
    distance: int = 2,
    pixels: bool = True,
) -> None:
    """Check the images and masks of all splits, and what the splits share.

    Args:
        splits (Sequence[Split]): The splits; they get the fingerprints of their images.
        roots (dict[str, str]): Folders by field.
        report (Report): Takes the findings.
        workers (int): Threads that decode. Defaults to 1.
        distance (int): See :func:`verify`. Defaults to 2.
        pixels (bool): See :func:`verify`. Defaults to True.
    """
    prints = check_images(splits, roots['img_path'], report, workers, pixels)
    for split in splits:
        split.prints = {
            item['img_path']: prints[item['img_path']]
            for item in split.items
            if item['img_path'] in prints
        }
        check_duplicates(split, report)
    _check_masks(splits, roots, report, workers)
    check_recordings(splits, roots['audio_paths'], report, workers, pixels)
    check_ids(splits, report)
    for first, second in combinations(splits, 2):
        compare(first, second, distance, report)


def _check_masks(
    splits: Iterable[Split], roots: dict[str, str], report: Report, workers: int
) -> None:
    """Check segment files and class maps as training will read them."""
    jobs = {
        (key, item[key], item['img_path']): split
        for split in splits
        for item in split.items
        for key in ('segments', 'seg_map_path')
        if item.get(key) is not None
    }
    work = partial(_mask_problem, roots=roots)
    problems = map_tracked(work, list(jobs.items()), 'masks', workers)
    for (key, _, _), split, problem in zip(jobs, jobs.values(), problems):
        if problem:
            what = 'segment file' if key == 'segments' else 'class map'
            report.add(
                'error', f'{what} missing, broken or of another size', f'{split.path}: {problem}'
            )


def _mask_problem(job: tuple[tuple[str, str, str], Split], roots: dict[str, str]) -> str | None:
    """What is wrong with a segment file or class map, or None."""
    (key, name, img_path), split = job
    image = split.prints.get(img_path)
    path = safe_join(roots[key], name)
    if not Path(path).is_file():
        return f'{path} of {img_path} not found'
    if image is None:
        return None  # not decoded, or reported already
    try:
        if key == 'segments':
            read_sidecar(path, (img_path, image.size))
            return None
        labels = read_checked_map(path, split.num_classes)
        check_same_size(path, labels.shape, img_path, image.size)
    except (OSError, ValueError) as error:
        return str(error)
    return None


def _read(path: str, report: Report) -> Split:
    """Read a file, and remark on items that are sound but worth a look."""
    metainfo, items = read_annotations(path)
    fitted = str(metainfo.get('split') or Path(path).stem) in FITTED
    # What names classes and has no caption at all is for segmentation alone.
    captioned = not metainfo.get('classes') or any(
        isinstance(item, dict) and item.get('captions') for item in items
    )
    split = sound_split(path, metainfo, items, fitted and captioned, report)
    if captioned and (without := sum(not item['captions'] for item in split.items)):
        report.add(
            'warning',
            'images without captions: they are searched, but are not queries',
            f'{path}: {without} of {len(split.items)}',
        )
    for image, count in Counter(item['img_path'] for item in split.items).items():
        if count > 1:
            report.add('error', 'image listed twice', f'{path}: {image} ({count} times)')
    if remark := remark_on_words(text for item in split.items for text in item['captions']):
        report.add('warning', 'captions that are cut', f'{split.name}: {remark}')
    return split


def _row(split: Split) -> dict[str, Any]:
    """Counts of a split, for the table of the report."""
    owners: dict[str, set[str]] = defaultdict(set)
    captions = [(caption, item['img_id']) for item in split.items for caption in item['captions']]
    for caption, img_id in captions:
        owners[caption].add(img_id)
    shared = sum(len(owners[caption]) > 1 for caption, _ in captions)
    words = [len(caption.split()) for caption, _ in captions] or [0]
    sizes = Counter(image.size for image in split.prints.values())
    usual = sizes.most_common(1)[0][0] if sizes else ('?', '?')
    return {
        'file': Path(split.path).name,
        'split': split.name,
        'images': len(split.items),
        'captions': len(captions),
        'distinct': len(owners),
        'of several images': f'{100 * shared / max(1, len(captions)):.1f} %',
        'words mean/max': f'{sum(words) / len(words):.2f}/{max(words)}',
        'segments': sum(item.get('segments') is not None for item in split.items),
        'class maps': sum(item.get('seg_map_path') is not None for item in split.items),
        'recordings': recorded(split),
        'size': f'{usual[0]} x {usual[1]}'
        + (f' (+{len(sizes) - 1} others)' if len(sizes) > 1 else ''),
    }
