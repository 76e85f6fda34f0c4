"""A folder of images without captions, as the target of an adaptation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urbancross_mm.datasets.converters.images import ImageFolder
from urbancross_mm.datasets.converters.options import check_name_and_seed, refuse_overwrite
from urbancross_mm.datasets.converters.sources import hash_file
from urbancross_mm.datasets.splits import random_split
from urbancross_mm.structures.annotation_schema import check_distinct_ids, counts_of, make_item
from urbancross_mm.structures.annotations import encode_annotations
from urbancross_mm.utils.files import write_all
from urbancross_mm.utils.images import probe_image
from urbancross_mm.utils.progress import map_tracked
from urbancross_mm.utils.text_files import read_captions

VAL_SHARE = 0.1


@dataclass(kw_only=True)
class Options:
    """What the command line decides.

    Attributes:
        images (Path): Folder of images, searched with its subfolders.
        texts (Sequence[Path]): Text files, one caption per line; captions of several places, say.
        out (Path): Folder for the annotations and the captions.
        name (str): Of the dataset, its domain and the files.
        seed (int): Of the choice of val images.
        skip_bad (bool): Leave out unreadable images, and count them.
        workers (int): Threads that decode the images.
        force (bool): Overwrite.
    """

    images: Path
    texts: Sequence[Path]
    out: Path
    name: str
    seed: int = 0
    skip_bad: bool = False
    workers: int = 1
    force: bool = False

    def __post_init__(self) -> None:
        check_name_and_seed(self.name, self.seed)


def convert(options: Options) -> dict[str, dict[str, int]]:
    """Write ``<name>_train.json``, ``<name>_val.json`` and ``<name>_texts.txt``.

    A random tenth of the images, at least one, becomes val, for choosing a checkpoint without
    labels. The images have no captions: the files do not say which caption belongs to which.

    Args:
        options (Options): See there.

    Returns:
        dict[str, dict[str, int]]: Counts of each split.

    Raises:
        FileNotFoundError: If the folder, an image in it or a text file is missing.
        FileExistsError: If an output exists and ``force`` is off.
        ValueError: If there are fewer than two images, no caption, an unreadable image, or
            two with one id.
    """
    outputs = {split: options.out / f'{options.name}_{split}.json' for split in ('train', 'val')}
    texts_path = options.out / f'{options.name}_texts.txt'
    refuse_overwrite([*outputs.values(), texts_path], options.force)
    texts = [text for path in options.texts for text in read_captions(path)]
    if options.images.resolve() != (options.out.parent / 'images').resolve():
        print(
            f'note: configs look for the images in {options.out.parent / "images"}, beside '
            f'{options.out.name}; {options.images} is another folder: link it there, or set '
            'data_prefix=dict(img_path=...) of the datasets',
            file=sys.stderr,
        )
    names, skipped = _readable(options)
    share = max(VAL_SHARE, 1 / len(names))
    splits = random_split(names, dict(val=share), 'train', options.seed)
    items = {
        split: [make_item(options.name, options.name, name, []) for name in splits[split]]
        for split in outputs
    }
    check_distinct_ids([*items['train'], *items['val']], options.images)
    counts = {
        split: counts_of(items[split], unreadable=skipped if split == 'train' else 0)
        for split in outputs
    }
    contents: dict[str | Path, bytes | str] = {
        path: encode_annotations(
            path, items[split], _metainfo(options, split, counts[split]), captions_required=False
        )
        for split, path in outputs.items()
    }
    write_all({**contents, texts_path: '\n'.join(texts) + '\n'})
    print(
        f'{len(texts)} captions of the domain are in {texts_path}; they are not matched to images'
    )
    return counts


def _metainfo(options: Options, split: str, counts: dict[str, int]) -> dict[str, Any]:
    names = [path.name for path in options.texts]
    # Files of different folders may share a name.
    keys = [str(path) if names.count(path.name) > 1 else path.name for path in options.texts]
    return dict(
        dataset=options.name,
        domain=options.name,
        split=split,
        generator='image_folder.py',
        seed=options.seed,
        sources=dict(zip(keys, map(hash_file, options.texts))),
        counts=counts,
    )


def _readable(options: Options) -> tuple[list[str], int]:
    """Names of the images that can be decoded, relative to the folder, and how many cannot."""
    images = ImageFolder(options.images)
    names = images.names
    if images.listing.remark:
        print(f'{options.images}: {images.listing.remark}')
    problems = list(
        map_tracked(
            probe_image,
            [str(options.images / name) for name in names],
            f'check {options.images.name}',
            options.workers,
        )
    )
    bad = [problem for problem in problems if problem]
    if bad and not options.skip_bad:
        raise ValueError(
            f'{len(bad)} of {len(names)} images cannot be read, first: {bad[0]}; '
            '--skip-bad leaves them out'
        )
    good = [name for name, problem in zip(names, problems) if not problem]
    if len(good) < 2:
        raise ValueError(
            f'{options.images} holds {len(good)} readable images: at least two are needed'
        )
    return good, len(bad)
