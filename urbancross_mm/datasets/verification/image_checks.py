"""Decoding the images of annotation files, and finding those that other datasets have too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from urbancross_mm.datasets.verification.fingerprints import Fingerprint, fingerprint
from urbancross_mm.datasets.verification.leakage import Split, shared_images
from urbancross_mm.datasets.verification.report import Report, SharedImage
from urbancross_mm.structures.annotations import read_annotations
from urbancross_mm.utils.images import read_image
from urbancross_mm.utils.paths import safe_join
from urbancross_mm.utils.progress import map_tracked


def check_images(
    splits: Iterable[Split], root: str, report: Report, workers: int, pixels: bool
) -> dict[str, Fingerprint]:
    """Decode every image once, whatever number of splits it is in; without ``pixels``, look for it.

    Returns the fingerprint of every decoded image by its path.
    """
    where = {
        item['img_path']: f'{split.path} ({item["img_id"]})'
        for split in splits
        for item in split.items
    }

    def read(name: str) -> Fingerprint | Exception | None:
        try:
            path = safe_join(root, name)
            if pixels:
                return fingerprint(path)
            return None if Path(path).is_file() else FileNotFoundError(f'image not found: {path}')
        except (OSError, ValueError) as error:
            return error

    prints = {}
    for name, result in zip(where, map_tracked(read, list(where), 'images', workers)):
        if isinstance(result, Fingerprint):
            prints[name] = result
        elif result is not None:
            kind = 'missing' if isinstance(result, FileNotFoundError) else 'unreadable'
            report.add('error', f'{kind} image', f'{where[name]}: {result}')
    return prints


def compare_datasets(
    splits: Sequence[Split],
    root: str,
    others: Sequence[tuple[str, str]],
    report: Report,
    workers: int = 1,
    distance: int = 2,
) -> None:
    """Find the images of splits that other datasets have too, or that look like theirs.

    Args:
        splits (Sequence[Split]): With the fingerprints of their images.
        root (str): Folder of these images.
        others (Sequence[tuple[str, str]]): Annotation files, and the folder of images of each.
        report (Report): Takes the findings and, in ``shared``, every pair of images.
        workers (int): Threads that decode. Defaults to 1.
        distance (int): Bits of a 64-bit difference hash that may differ. Defaults to 2.

    Raises:
        FileNotFoundError: If an annotation file or a folder does not exist.
        ValueError: If it cannot be read.
    """
    for path, folder in others:
        if not Path(folder).is_dir():
            raise FileNotFoundError(f'no folder of images at {folder}, for {path}: name a config')
        items = list(_items(path))
        other = Split(path, Path(path).stem, items)
        other.prints = check_images([other], folder, report, workers, pixels=True)
        for split in splits:
            pairs = [
                SharedImage(_kind(kind, root, name, folder, match), split.path, name, path, match)
                for kind, name, match in shared_images(split, other, distance)
            ]
            _describe(pairs, len(split.items), report)
            report.shared += pairs


def _items(path: str) -> Iterator[dict[str, str]]:
    _, items = read_annotations(path)
    for number, item in enumerate(items):
        if not isinstance(item, dict) or not isinstance(item.get('img_path'), str):
            raise ValueError(f'{path}, item {number}: has no img_path, got {item!r:.80}')
        yield dict(img_id=str(item.get('img_id')), img_path=item['img_path'])


def _kind(kind: str, root: str, name: str, folder: str, match: str) -> str:
    """A copy in another format has other bytes, and the same pixels."""
    if kind == 'identical':
        return kind
    first, second = (read_image(safe_join(*path))[0] for path in ((root, name), (folder, match)))
    return 'identical' if np.array_equal(first, second) else kind


def _describe(pairs: Sequence[SharedImage], images: int, report: Report) -> None:
    for pair in pairs:
        sign = '=' if pair.kind == 'identical' else '~'
        report.add(
            'error',
            f'{pair.kind} image in another dataset',
            f'{pair.file}: {pair.image} {sign} {pair.other_file}: {pair.other_image}',
        )
    if pairs:
        counts = Counter(dict((pair.image, pair.kind) for pair in sorted(pairs)[::-1]).values())
        report.add(
            'info',
            'images that another dataset has too',
            f'{counts["identical"]} identical and {counts["similar"]} similar of {images} images '
            f'of {pairs[0].file} in {pairs[0].other_file}',
        )
