"""Published masks to class maps, named in annotation files that exist or are made here."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from urbancross_mm.datasets.converters.images import ImageFolder
from urbancross_mm.datasets.converters.options import check_name_and_seed, refuse_overwrite
from urbancross_mm.datasets.converters.seg_map_splits import SplitRule, divide
from urbancross_mm.datasets.converters.seg_map_values import (
    MapReader,
    encode_map,
    index_reader,
    legend_reader,
    rsitmd_ss_reader,
)
from urbancross_mm.datasets.rsitmd_ss import MASK_PREFIX
from urbancross_mm.structures.annotation_schema import Item, check_distinct_ids, make_item
from urbancross_mm.structures.annotations import encode_annotations, encode_file, load_annotations
from urbancross_mm.structures.class_maps import (
    CLASS_KEYS,
    CLASS_PIXELS,
    check_same_size,
    pixels_of_values,
)
from urbancross_mm.utils.files import atomic_write, write_all
from urbancross_mm.utils.images import open_image
from urbancross_mm.utils.progress import map_tracked

# Folders of images and masks below the root.
LAYOUTS = {
    'rsitmd-ss': ('images', 'masks'),
    'mmseg': ('img_dir', 'ann_dir'),
    'legend': ('images', 'masks'),
}
FITTED = ('train', 'trainval')


@dataclass(kw_only=True)
class Options:
    """What the command line decides.

    Attributes:
        root (Path): Data root: gets ``seg_maps/`` and, for new annotations, ``annotations/``.
        layout (str): What masks look like: ``'rsitmd-ss'``, ``'mmseg'`` or ``'legend'``.
        annotations (tuple[Path, ...]): Files in which to name the maps; none makes new ones,
            without captions.
        images (Path | None): Folder of images; None: that of the layout.
        masks (Path | None): Folder of masks; None: that of the layout.
        name (str | None): Of the dataset, its domain and the files; None: that of the root.
        classes (tuple[str, ...]): Of mmseg's layout: names, or a dataset that mmseg knows.
        reduce_zero_label (bool): Of mmseg's layout: 0 is no class.
        legend (Path | None): Of that layout; None: ``legend.json`` in the root.
        suffix (str): What follows the name of an image in that of its mask.
        split (SplitRule): Of new annotations.
        workers (int): Threads.
        force (bool): Overwrite.
    """

    root: Path
    layout: str
    annotations: tuple[Path, ...] = ()
    images: Path | None = None
    masks: Path | None = None
    name: str | None = None
    classes: tuple[str, ...] = ()
    reduce_zero_label: bool = False
    legend: Path | None = None
    suffix: str = ''
    split: SplitRule = field(default_factory=SplitRule)
    workers: int = 1
    force: bool = False

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f'layout must be one of {sorted(LAYOUTS)}, got {self.layout!r}')
        if self.layout == 'mmseg' and not self.classes:
            raise ValueError('layout mmseg needs --classes: the names in order, or one dataset')
        if self.layout != 'mmseg' and self.classes:
            raise ValueError(f'--classes is for layout mmseg, not for {self.layout}')
        if self.layout == 'rsitmd-ss' and not self.annotations:
            raise ValueError(
                'the masks of RSITMD-SS are named in annotations with captions: convert those '
                'first (precomp.py) and give --annotations'
            )
        self.name = self.root.resolve().name if self.name is None else self.name
        check_name_and_seed(self.name, self.split.seed)

    @property
    def image_folder(self) -> Path:
        """Where the images are."""
        return self.images or self.root / LAYOUTS[self.layout][0]

    @property
    def mask_folder(self) -> Path:
        """Where the masks are."""
        return self.masks or self.root / LAYOUTS[self.layout][1]


class _Split(NamedTuple):
    """An annotation file that exists or is made here."""

    path: Path
    metainfo: dict[str, Any]
    items: list[Item]


class _Map(NamedTuple):
    """What is in one class map."""

    pixels: np.ndarray  # of each class
    unknown: int  # pixels of a value or color that stands for nothing


def convert(options: Options) -> dict[str, dict[str, int]]:
    """Write the class maps, name them in the annotations, and count.

    Args:
        options (Options): See there.

    Returns:
        dict[str, dict[str, int]]: Counts of each annotation file, by its name.

    Raises:
        FileExistsError: If an output exists and ``force`` is off.
        FileNotFoundError: If a folder or file is missing, or no image has a mask.
        ValueError: If a mask is of another size than its image, or has a value of no class.
    """
    out = options.root / 'seg_maps'
    if options.mask_folder.resolve() == out.resolve():
        raise ValueError(f'{out} is where the class maps go: move the masks to another folder')
    reader = _reader(options)
    splits = _existing(options) if options.annotations else _new(options)
    masks = _masks_of([item for split in splits for item in split.items], options)
    reader = reader.with_palette_of(str(next(iter(masks.values()))))
    targets = {name: Path(name).with_suffix('.png') for name in masks}
    made = [] if options.annotations else [split.path for split in splits]
    refuse_overwrite([*made, *(out / target for target in targets.values())], options.force)
    jobs = [(name, mask, out / targets[name]) for name, mask in masks.items()]
    work = partial(_convert_one, reader=reader, images=options.image_folder)
    maps = dict(zip(masks, map_tracked(work, jobs, 'class maps', options.workers)))
    for split in splits:
        for item in split.items:
            item.pop('seg_map_path', None)
            if item['img_path'] in targets:
                item['seg_map_path'] = targets[item['img_path']].as_posix()
    return _write(splits, maps, reader, options)


def _reader(options: Options) -> MapReader:
    if options.layout == 'rsitmd-ss':
        return rsitmd_ss_reader()
    if options.layout == 'mmseg':
        return index_reader(options.classes, options.reduce_zero_label)
    return legend_reader(options.legend or options.root / 'legend.json')


def _existing(options: Options) -> list[_Split]:
    read = [(path, load_annotations(str(path), False)) for path in options.annotations]
    return [_Split(path, metainfo, items) for path, (metainfo, items) in read]


def _new(options: Options) -> list[_Split]:
    """Annotations without captions for the images that have a mask."""
    folder = ImageFolder(options.image_folder)
    name = options.name or ''
    items = {path: make_item(name, name, path, []) for path in folder.names}
    for item in items.values():
        del item['captions'], item['caption_ids']
    check_distinct_ids(items.values(), folder.folder)
    masked = _masks_of(list(items.values()), options)
    if without := len(items) - len(masked):
        print(
            f'note: {without} of {len(items)} images have no mask and are left out', file=sys.stderr
        )
    return [
        _Split(
            options.root / 'annotations' / f'{name}_{split}.json',
            dict(
                dataset=name,
                domain=name,
                split=split,
                generator='seg_maps.py',
                seed=options.split.seed,
            ),
            [items[path] for path in names],
        )
        for split, names in divide(list(masked), options.split).items()
    ]


def _masks_of(items: Sequence[Item], options: Options) -> dict[str, Path]:
    """The mask of each image that has one."""
    if not options.mask_folder.is_dir():
        raise FileNotFoundError(f'no folder of masks at {options.mask_folder}: --masks names it')
    folder = ImageFolder(options.mask_folder)
    prefix = MASK_PREFIX if options.layout == 'rsitmd-ss' else ''
    masks = {}
    for name in dict.fromkeys(item['img_path'] for item in items):
        image = Path(name)
        mask = folder.find(image.with_name(f'{prefix}{image.stem}{options.suffix}.png').as_posix())
        if mask is not None:
            masks[name] = folder.folder / mask
    if not masks:
        raise FileNotFoundError(
            f'no image has a mask in {folder.folder}, whose name would be '
            f'{prefix}<name of the image>{options.suffix}.png'
        )
    return masks


def _convert_one(job: tuple[str, Path, Path], reader: MapReader, images: Path) -> _Map:
    """Write one class map."""
    name, mask, target = job
    labels, unknown = reader.read(str(mask))
    image = images / name
    if image.is_file():  # captions can be converted without their images
        with open_image(image, str(image)) as opened:
            size = opened.height, opened.width
        check_same_size(str(mask), labels.shape, str(image), size)
    atomic_write(target, encode_map(labels, reader.palette))
    return _Map(pixels_of_values(labels)[: len(reader.classes)], unknown)


def _write(
    splits: Sequence[_Split], maps: dict[str, _Map], reader: MapReader, options: Options
) -> dict[str, dict[str, int]]:
    """Write the annotations, all or none, and count what is in each."""
    known = {key: value for key in CLASS_KEYS if (value := getattr(reader, key)) is not None}
    fitted = _fitted(splits)
    if fitted is not None:
        found = [maps[item['img_path']].pixels for item in fitted.items if item['img_path'] in maps]
        known[CLASS_PIXELS] = sum(found, np.zeros(len(reader.classes), np.int64)).tolist()
    contents: dict[str | Path, bytes | str] = {}
    counts = {}
    for split in splits:
        own = [maps[item['img_path']] for item in split.items if item['img_path'] in maps]
        found_here = dict(
            images=len(split.items),
            class_maps=len(own),
            images_without_class_map=len(split.items) - len(own),
            unknown_pixels=sum(one.unknown for one in own),
        )
        counts[split.path.stem] = found_here
        earlier = {k: v for k, v in split.metainfo.items() if k not in (*CLASS_KEYS, CLASS_PIXELS)}
        merged = {**dict(earlier.get('counts') or {}), **found_here}
        metainfo = {**earlier, 'counts': merged, **known}
        contents[split.path] = (
            encode_file(split.path, metainfo, split.items)
            if options.annotations
            else encode_annotations(split.path, split.items, metainfo, captions_required=False)
        )
    if not options.annotations:
        _link_images(options)
    write_all(contents)
    return counts


def _fitted(splits: Sequence[_Split]) -> _Split | None:
    """The split that a model is trained on: train, else train with val."""
    by_name = {split.metainfo.get('split'): split for split in splits}
    return next((by_name[name] for name in FITTED if name in by_name), None)


def _link_images(options: Options) -> None:
    """Make ``images`` below the root lead to the images, wherever they are."""
    link = options.root / 'images'
    if link.exists() and link.resolve() == options.image_folder.resolve():
        return
    if link.exists() or link.is_symlink():
        raise FileExistsError(f'{link} exists and is not {options.image_folder}: move one of them')
    link.symlink_to(os.path.relpath(options.image_folder.resolve(), options.root.resolve()))
