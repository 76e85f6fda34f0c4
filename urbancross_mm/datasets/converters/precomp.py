"""The "precomp" text files of RSICD, RSITMD, UCM and Sydney.

``*_caps.txt`` holds five captions a picture, ``*_filename.txt`` its name once or five times;
``{train,val}_*_verify.txt`` is one published division of the training list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from urbancross_mm.datasets.converters.annotations import (
    Item,
    counts_of,
    hash_file,
    make_item,
    read_lines,
    refuse_overwrite,
    write_annotations,
)
from urbancross_mm.datasets.converters.pictures import Companions, PictureFolder, sibling
from urbancross_mm.datasets.converters.splits import random_split, split_hash, stratified_split
from urbancross_mm.datasets.converters.vocab import write_vocabulary
from urbancross_mm.utils.paths import check_relative

CAPTIONS = 5
VAL_FRACTION = 0.2
SPLITS = ('published', 'random', 'stratified')
AUDIO_NAMES = {'train': 'train_audio.txt', 'test': 'test_audios.txt'}


@dataclass(frozen=True)
class Picture:
    """One picture as the text files list it."""

    name: str
    captions: list[str]
    audio: list[str] | None
    where: str  # file and line, for messages


@dataclass
class Options:
    """What the command line decides.

    Attributes:
        root (Path): Folder of the text files, or the one above its ``precomp``.
        out (Path): Folder for the annotations.
        name (str): Of the data set, its domain and the files.
        images (Path | None): Folder of pictures; None converts without looking at them.
        split (str): One of ``SPLITS``.
        seed (int): Of the random splits.
        only_present (bool): Leave out pictures that are not on disk, and count them.
        trainval (bool): Also write the whole training list as ``<name>_trainval.json``.
        segments (Path | None): Folder of segment files; None: beside the pictures.
        seg_maps (Path | None): Folder of class maps; None: beside the pictures.
        force (bool): Overwrite.
        suffix (str): ``.json`` or ``.parquet``.
    """

    root: Path
    out: Path
    name: str
    images: Path | None = None
    split: str = 'published'
    seed: int = 0
    only_present: bool = False
    trainval: bool = False
    segments: Path | None = None
    seg_maps: Path | None = None
    force: bool = False
    suffix: str = '.json'


def convert(options: Options) -> dict[str, dict[str, int]]:
    """Convert one precomp folder.

    Args:
        options (Options): See there.

    Returns:
        dict[str, dict[str, int]]: Counts of each split that was written.

    Raises:
        FileNotFoundError: If a file or picture is missing.
        FileExistsError: If an output exists and ``force`` is off.
        ValueError: If line counts do not match, a name leaves its folder, or is listed twice.
    """
    root = options.root / 'precomp' if (options.root / 'precomp').is_dir() else options.root
    train, test = read_split(root, 'train'), read_split(root, 'test')
    splits = dict(divide(root, train, options), test=test)
    if options.trainval:
        splits['trainval'] = train
    names = {split: options.out / f'{options.name}_{split}{options.suffix}' for split in splits}
    vocabulary = options.out / f'{options.name}_vocab.json'
    refuse_overwrite([*names.values(), vocabulary], options.force)
    sources = {path.name: hash_file(path) for path in sorted(root.glob('*.txt'))}
    builder = ItemBuilder(options)
    counts, words = {}, []
    for split, pictures in splits.items():
        items, dropped = builder.build(pictures, split)
        counts[split] = counts_of(items, **dropped)
        metainfo = dict(
            dataset=options.name, domain=options.name, split=split, generator='precomp.py',
            seed=options.seed, split_rule=options.split,
            split_hash=split_hash([p.name for p in pictures]), sources=sources,
            counts=counts[split])
        write_annotations(names[split], items, metainfo, force=True)
        if split == 'train':
            words = [text for item in items for text in item['captions']]
    write_vocabulary(vocabulary, words)
    return counts


def read_split(root: Path, split: str, verify: bool = False) -> list[Picture]:
    """Read the captions and names of one list.

    Args:
        root (Path): Folder of the text files.
        split (str): ``train``, ``val`` or ``test``.
        verify (bool): Read the ``_verify`` files. Defaults to False.

    Returns:
        list[Picture]: In the order of the files.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the line counts do not match, or the five names of a picture differ.
    """
    tail = '_verify' if verify else ''
    caps, names = root / f'{split}_caps{tail}.txt', root / f'{split}_filename{tail}.txt'
    captions, files = read_lines(caps), read_lines(names)
    if len(files) == len(captions):
        step = CAPTIONS if _repeats(files) else 1
    elif len(captions) == CAPTIONS * len(files):
        step = 0
    else:
        raise ValueError(
            f'{caps} has {len(captions)} lines and {names} has {len(files)}: expected as many, '
            f'or {CAPTIONS} captions a name')
    audio = _read_audio(root, split, verify, len(captions))
    per_picture = step or CAPTIONS
    pictures = []
    for number in range(len(captions) // per_picture):
        part = slice(number * per_picture, (number + 1) * per_picture)
        line = number * step if step else number
        pictures.append(Picture(files[line], captions[part], audio and audio[part],
                                f'{names}, line {line + 1}'))
    _check_unique(pictures)
    return pictures


def divide(root: Path, train: list[Picture], options: Options) -> dict[str, list[Picture]]:
    """Divide the training list into train and val.

    Args:
        root (Path): Folder of the text files.
        train (list[Picture]): The whole training list.
        options (Options): ``split`` and ``seed``.

    Returns:
        dict[str, list[Picture]]: ``train`` and ``val``.

    Raises:
        ValueError: If the published division is asked for and there is none.
    """
    if options.split not in SPLITS:
        raise ValueError(f'split must be one of {SPLITS}, got {options.split!r}')
    if options.split == 'published':
        if not (root / 'val_filename_verify.txt').is_file():
            raise ValueError(f'{root} has no val_filename_verify.txt, hence no published division '
                             'into train and val: give --split stratified (or random)')
        return dict(train=read_split(root, 'train', True), val=read_split(root, 'val', True))
    by_name = {picture.name: picture for picture in train}
    fractions = dict(val=VAL_FRACTION)
    if options.split == 'random':
        names = random_split(list(by_name), fractions, 'train', options.seed)
    else:
        pictures = options.images and PictureFolder(options.images)
        labels = {name: label_of((pictures and pictures.find(name)) or name) for name in by_name}
        names = stratified_split(labels, fractions, 'train', options.seed)
    return {split: [by_name[name] for name in part] for split, part in names.items()}


def label_of(img_path: str) -> str | None:
    """Scene class of a picture: its folder, else what stands before ``_`` in its name.

    Args:
        img_path (str): Relative path.

    Returns:
        str | None: None for bare numbers such as RSICD's ``00013.jpg``.
    """
    path = Path(img_path)
    if path.parent.name:
        return path.parent.name
    prefix, found, _ = path.stem.rpartition('_')
    return prefix if found and not prefix.isdecimal() else None


class ItemBuilder:
    """Turns listed pictures into records, with what is found on disk."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.pictures = PictureFolder(options.images) if options.images else None
        self.segments = Companions(sibling(options.images, 'segments', options.segments), '.json')
        self.seg_maps = Companions(sibling(options.images, 'seg_maps', options.seg_maps), '.png')

    def build(self, pictures: Sequence[Picture], split: str) -> tuple[list[Item], dict[str, int]]:
        """Build the records of one split, and count what was left out."""
        items, missing, without, empty = [], 0, 0, 0
        for picture in tqdm(pictures, desc=f'{self.options.name} {split}', unit='picture'):
            path = self._locate(picture)
            if path is None:
                missing += 1
                continue
            item = self._item(picture, path)
            empty += len(picture.captions) - len(item['captions'])
            if item['captions']:
                items.append(item)
            else:
                without += 1
        return items, dict(dropped_empty_captions=empty, dropped_missing_pictures=missing,
                           dropped_pictures_without_caption=without)

    def _locate(self, picture: Picture) -> str | None:
        check_relative(picture.name, picture.where)
        if self.pictures is None:
            return picture.name
        path = self.pictures.find(picture.name)
        if path is None and not self.options.only_present:
            raise FileNotFoundError(
                f'picture {picture.name!r} ({picture.where}) is not below {self.pictures.folder}: '
                'give --only-present to leave missing pictures out and count them')
        return path

    def _item(self, picture: Picture, path: str) -> Item:
        fields: dict[str, Any] = dict(
            label=label_of(path), segments=self.segments.find(path),
            seg_map_path=self.seg_maps.find(path))
        if picture.audio is not None:
            fields['audio_paths'] = [
                name for name, text in zip(picture.audio, picture.captions) if text.strip()]
        return make_item(self.options.name, self.options.name, path, picture.captions, **fields)


def _repeats(files: list[str]) -> bool:
    """Whether every name stands five times in a row."""
    blocks = [files[i:i + CAPTIONS] for i in range(0, len(files), CAPTIONS)]
    return all(len(block) == CAPTIONS and len(set(block)) == 1 for block in blocks)


def _read_audio(root: Path, split: str, verify: bool, lines: int) -> list[str] | None:
    path = root / (f'{split}_audios_verify.txt' if verify else AUDIO_NAMES.get(split, ''))
    if not path.is_file():
        return None
    audio = read_lines(path)
    if len(audio) != lines:
        raise ValueError(f'{path} has {len(audio)} lines for {lines} captions')
    for number, name in enumerate(audio, 1):
        check_relative(name, f'{path}, line {number}')
    return audio


def _check_unique(pictures: list[Picture]) -> None:
    seen: dict[str, str] = {}
    for picture in pictures:
        if picture.name in seen:
            raise ValueError(f'{picture.where}: picture {picture.name!r} was listed before '
                             f'({seen[picture.name]})')
        seen[picture.name] = picture.where
