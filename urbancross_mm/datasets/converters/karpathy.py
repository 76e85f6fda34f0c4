"""The JSON layout of Karpathy: RSICD, RSITMD and NWPU-Captions are published in it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from urbancross_mm.datasets.converters.annotations import (
    Item,
    counts_of,
    hash_file,
    make_item,
    refuse_overwrite,
    write_annotations,
)
from urbancross_mm.datasets.converters.pictures import PictureFolder
from urbancross_mm.datasets.converters.precomp import label_of
from urbancross_mm.datasets.converters.splits import split_hash
from urbancross_mm.datasets.converters.vocab import write_vocabulary
from urbancross_mm.utils.paths import check_relative


def convert(source: Path, out: Path, name: str, images: Path | None = None,
            only_present: bool = False, force: bool = False) -> dict[str, dict[str, int]]:
    """Convert one file.

    Args:
        source (Path): JSON ``{"images": [{"filename", "split", "sentences": [{"raw"}]}]}``.
        out (Path): Folder for the annotations.
        name (str): Of the data set, its domain and the files.
        images (Path, optional): Folder of pictures; None takes names as they are.
            Defaults to None.
        only_present (bool): Leave out pictures that are not on disk, and count them.
            Defaults to False.
        force (bool): Overwrite. Defaults to False.

    Returns:
        dict[str, dict[str, int]]: Counts of each split that was written.

    Raises:
        FileNotFoundError: If the file or a picture is missing.
        FileExistsError: If an output exists and ``force`` is off.
        ValueError: If the file does not have this layout; the sentence names file and entry.
    """
    entries = read_entries(source)
    pictures = PictureFolder(images) if images else None
    splits: dict[str, list[Item]] = defaultdict(list)
    dropped: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(
        ('dropped_empty_captions', 'dropped_missing_pictures'), 0))
    for number, entry in enumerate(tqdm(entries, desc=name, unit='picture')):
        split, file, texts = _parse(entry, f'{source}, image {number}')
        path = pictures.find(file) if pictures else file
        if path is None:
            if not only_present:
                raise FileNotFoundError(
                    f'picture {file!r} ({source}, image {number}) is not below {images}: give '
                    '--only-present to leave missing pictures out and count them')
            dropped[split]['dropped_missing_pictures'] += 1
            continue
        item = make_item(name, name, path, texts, label=label_of(path))
        dropped[split]['dropped_empty_captions'] += len(texts) - len(item['captions'])
        if item['captions']:
            splits[split].append(item)
    return _write(splits, dropped, source, out, name, force)


def read_entries(source: Path) -> list[Any]:
    """Read the list of pictures.

    Args:
        source (Path): The JSON file.

    Returns:
        list: Its ``images``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON, or has no list ``images``.
    """
    if not source.is_file():
        raise FileNotFoundError(f'no file {source}')
    try:
        content = json.loads(source.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{source} is not valid JSON: {error}') from error
    if not isinstance(content, dict) or not isinstance(content.get('images'), list):
        raise ValueError(f"{source} has no list 'images'")
    return content['images']


def _parse(entry: Any, where: str) -> tuple[str, str, list[str]]:
    try:
        folder = entry.get('filepath') or ''
        file = f'{folder}/{entry["filename"]}' if folder else entry['filename']
        texts = [sentence['raw'] for sentence in entry['sentences']]
        split = entry['split']
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{where}: expected filename, split and sentences[].raw ({error!r})'
                         ) from error
    return split, check_relative(file, where), texts


def _write(splits: Mapping[str, list[Item]], dropped: Mapping[str, dict[str, int]], source: Path,
           out: Path, name: str, force: bool) -> dict[str, dict[str, int]]:
    files = {split: out / f'{name}_{split}.json' for split in splits}
    refuse_overwrite(files.values(), force)
    counts = {}
    for split, items in splits.items():
        counts[split] = counts_of(items, **dropped[split])
        write_annotations(files[split], items, dict(
            dataset=name, domain=name, split=split, generator='karpathy.py', seed=None,
            split_hash=split_hash([item['img_path'] for item in items]),
            sources={source.name: hash_file(source)}, counts=counts[split]), force=True)
    if 'train' in splits:
        write_vocabulary(out / f'{name}_vocab.json',
                         [text for item in splits['train'] for text in item['captions']])
    return counts
