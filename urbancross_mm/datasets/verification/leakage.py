"""What splits share that they should not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from urbancross_mm.datasets.verification.fingerprints import Fingerprint, near_pairs
from urbancross_mm.datasets.verification.report import Report

# Pairs of splits that share images by design; any other two must not. Fine-tuning draws from
# what is not test.
NESTED = {
    frozenset(pair)
    for pair in [
        ('train', 'trainval'),
        ('val', 'trainval'),
        ('finetune', 'train'),
        ('finetune', 'val'),
        ('finetune', 'trainval'),
        ('finetune_val', 'train'),
        ('finetune_val', 'val'),
        ('finetune_val', 'trainval'),
    ]
}
FITTED = ('train', 'trainval', 'finetune')


@dataclass
class Split:
    """One annotation file, its sound items, and what their images look like."""

    path: str
    name: str
    items: list[dict[str, Any]]
    prints: dict[str, Fingerprint] = field(default_factory=dict)


def check_duplicates(split: Split, report: Report) -> None:
    """Find identical files within a split."""
    by_digest = defaultdict(list)
    for name, one in split.prints.items():
        by_digest[one.digest].append(name)
    for names in by_digest.values():
        if len(names) > 1:
            report.add(
                'warning', 'identical files within a split', f'{split.name}: {", ".join(names)}'
            )


def check_ids(splits: Iterable[Split], report: Report) -> None:
    """Find ids that stand for different images: training and tests tell images by their id."""
    known: dict[str, tuple[str, Split]] = {}
    for split in splits:
        for item in split.items:
            path, first = known.setdefault(item['img_id'], (item['img_path'], split))
            if path != item['img_path'] and not _is_copy(first, path, split, item['img_path']):
                report.add(
                    'error',
                    'one id for different images',
                    f'{item["img_id"]}: {path} ({first.name}) and {item["img_path"]} '
                    f'({split.name})',
                )


def _is_copy(first: Split, path: str, second: Split, other: str) -> bool:
    left, right = first.prints.get(path), second.prints.get(other)
    return left is not None and right is not None and left.digest == right.digest


def compare(first: Split, second: Split, distance: int, report: Report) -> None:
    """Find images and captions that two splits share and should not.

    Args:
        first (Split): A split.
        second (Split): Another one.
        distance (int): See :func:`verify`.
        report (Report): Takes the findings.
    """
    if first.name == second.name or frozenset((first.name, second.name)) in NESTED:
        return
    _compare_captions(first, second, report)
    ids = {item['img_id'] for item in second.items}
    paths = {item['img_path'] for item in second.items}
    for item in first.items:
        if item['img_id'] in ids or item['img_path'] in paths:
            report.add(
                'error',
                'image in two splits',
                f'{first.name} and {second.name}: {item["img_id"]} ({item["img_path"]})',
            )
    _compare_images(first, second, distance, report)


def _compare_captions(first: Split, second: Split, report: Report) -> None:
    """How many captions of a held-out split are in a training split word for word."""
    if (first.name in FITTED) == (second.name in FITTED):
        return
    fitted, held = (first, second) if first.name in FITTED else (second, first)
    known = {text for item in fitted.items for text in item['captions']}
    texts = [text for item in held.items for text in item['captions']]
    shared = sum(text in known for text in texts)
    if shared:
        report.add(
            'info',
            'captions that a training split has too',
            f'{shared} of {len(texts)} captions of {held.name} '
            f'({100 * shared / len(texts):.1f} %) are in {fitted.name}',
        )


def _compare_images(first: Split, second: Split, distance: int, report: Report) -> None:
    pair = f'{first.name} and {second.name}'
    exact = {one.digest: name for name, one in second.prints.items()}
    for name, one in first.prints.items():
        if one.digest in exact and exact[one.digest] != name:
            report.add(
                'error', 'identical file in two splits', f'{pair}: {name} = {exact[one.digest]}'
            )
    left, right = list(first.prints.items()), list(second.prints.items())
    pairs = near_pairs([one for _, one in left], [one for _, one in right], distance)
    for row, column in pairs:
        if left[row][1].digest != right[column][1].digest:
            report.add(
                'warning',
                'images that look alike in two splits',
                f'{pair}: {left[row][0]} ~ {right[column][0]}',
            )
