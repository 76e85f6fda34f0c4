"""What splits share that they should not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from urbancross_mm.datasets.verification.fingerprints import Fingerprint, near_pairs
from urbancross_mm.datasets.verification.report import Report
from urbancross_mm.utils.ids import IdRegister

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
    num_classes: int | None = None


def check_duplicates(split: Split, report: Report) -> None:
    """Find identical files within a split."""
    by_digest = defaultdict(list)
    for name, image in split.prints.items():
        by_digest[image.digest].append(name)
    for names in by_digest.values():
        if len(names) > 1:
            report.add(
                'warning', 'identical files within a split', f'{split.name}: {", ".join(names)}'
            )


def check_ids(splits: Iterable[Split], report: Report) -> None:
    """Find ids that stand for different images: training and tests tell images by their id."""
    register: IdRegister[tuple[str, Split]] = IdRegister(_same_image)
    for split in splits:
        for item in split.items:
            known = register.clash(item['img_id'], (item['img_path'], split))
            if known is not None:
                path, first = known
                report.add(
                    'error',
                    'one id for different images',
                    f'{item["img_id"]}: {path} ({first.name}) and {item["img_path"]} '
                    f'({split.name})',
                )


def _same_image(first: tuple[str, Split], second: tuple[str, Split]) -> bool:
    """Whether two paths are equal, or lead to equal files."""
    if first[0] == second[0]:
        return True
    images = [split.prints.get(path) for path, split in (first, second)]
    digests = [image.digest for image in images if image is not None]
    return len(digests) == 2 and digests[0] == digests[1]


def compare(first: Split, second: Split, distance: int, report: Report) -> None:
    """Find images and captions that two splits share and should not."""
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
    known = {caption for item in fitted.items for caption in item['captions']}
    captions = [caption for item in held.items for caption in item['captions']]
    shared = sum(caption in known for caption in captions)
    if shared:
        report.add(
            'info',
            'captions that a training split has too',
            f'{shared} of {len(captions)} captions of {held.name} '
            f'({100 * shared / len(captions):.1f} %) are in {fitted.name}',
        )


def shared_images(
    first: Split, second: Split, distance: int
) -> Iterator[tuple[Literal['identical', 'similar'], str, str]]:
    """Find images of one split that are the same file as one of another, or look like it.

    Args:
        first (Split): With fingerprints.
        second (Split): With fingerprints.
        distance (int): Bits of a 64-bit difference hash that may differ.

    Yields:
        tuple[str, str, str]: ``'identical'`` or ``'similar'``, and the paths of both images.
    """
    exact = {image.digest: name for name, image in second.prints.items()}
    for name, image in first.prints.items():
        if image.digest in exact:
            yield 'identical', name, exact[image.digest]
    left, right = list(first.prints.items()), list(second.prints.items())
    pairs = near_pairs([image for _, image in left], [image for _, image in right], distance)
    for row, column in pairs:
        if left[row][1].digest != right[column][1].digest:
            yield 'similar', left[row][0], right[column][0]


def _compare_images(first: Split, second: Split, distance: int, report: Report) -> None:
    pair = f'{first.name} and {second.name}'
    for kind, name, other in shared_images(first, second, distance):
        if kind == 'similar':
            report.add('warning', 'similar images in two splits', f'{pair}: {name} ~ {other}')
        elif name != other:
            report.add('error', 'identical file in two splits', f'{pair}: {name} = {other}')
