"""The JSON layouts of Karpathy (RSICD, RSITMD) and of NWPU-Captions."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from urbancross_mm.datasets.converters.options import DividedOptions
from urbancross_mm.datasets.converters.records import ItemBuilder, convert_splits, draw_val
from urbancross_mm.datasets.converters.sources import Problems, Source, hash_file
from urbancross_mm.utils.text_files import read_json

# Images that COCO moved from val to train.
MERGED = {'restval': 'train'}
SPLITS = ('train', 'val', 'test')


def convert(options: DividedOptions) -> dict[str, dict[str, int]]:
    """Convert one file.

    Args:
        options (DividedOptions): ``root`` is the file, a JSON ``{"images": [{"filename", "split",
            "sentences": [{"raw"}]}]}``, or ``{class: [{"filename", "split", "raw", "raw_1",
            ...}]}``. A ``split`` other than ``'published'`` draws the val that the file lacks.

    Returns:
        dict[str, dict[str, int]]: Counts of each split that was written.

    Raises:
        FileNotFoundError: If the file or an image is missing.
        FileExistsError: If an output exists and ``force`` is off.
        ValueError: If the file does not have this layout; the message names file and entry. If
            val shall be drawn, and the file has one or no training image.
    """
    problems = Problems(options.skip_bad)
    builder = ItemBuilder(options)
    images = [_parse(entry, where, builder) for where, entry in read_entries(options.root)]
    # Over all splits at once, so that no image is in two.
    good = set(map(id, problems.check(source for _, source in images)))
    splits: dict[str, list[Source]] = defaultdict(list)
    for split, source in images:
        if id(source) in good:
            splits[split].append(source)
    if not splits:
        raise ValueError(f'{options.root} lists no image')
    if options.split != 'published':
        if 'val' in splits or 'train' not in splits:
            counts = ', '.join(f'{len(sources)} {split}' for split, sources in splits.items())
            raise ValueError(
                f'--split {options.split} draws val from train, where there is no val yet; '
                f'{options.root} lists {counts}: leave --split out'
            )
        splits.update(draw_val(splits['train'], options, builder))
    ordered = {split: splits[split] for split in SPLITS if split in splits}
    return convert_splits(
        options,
        ordered,
        builder,
        problems,
        dict(
            generator='karpathy.py',
            split_rule=options.split,
            sources={options.root.name: hash_file(options.root)},
        ),
    )


def read_entries(source: Path) -> list[tuple[str, Any]]:
    """Position and entry of each image; NWPU-Captions' in Karpathy's form, with a ``label``."""
    content = read_json(source)
    if (
        isinstance(content, dict)
        and isinstance(content.get('images'), list)
        and not _is_by_class(content)
    ):
        return [
            (f'{source}, image {number}', _without_label(entry))
            for number, entry in enumerate(content['images'])
        ]
    if not _is_by_class(content):
        shown = list(content)[:5] if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"{source} has no list 'images' (it has {shown}), nor lists of images "
            "with 'raw' by class"
        )
    return list(_entries_by_class(content, str(source)))


def _is_by_class(content: Any) -> bool:
    """Whether it is NWPU-Captions' layout, which has a list of images for each class."""
    if not isinstance(content, dict) or not all(isinstance(v, list) for v in content.values()):
        return False
    return any(
        isinstance(entry, dict) and 'raw' in entry
        for entries in content.values()
        for entry in entries
    )


def _entries_by_class(content: dict[str, list[Any]], source: str) -> Iterator[tuple[str, Any]]:
    for label, entries in content.items():
        for number, entry in enumerate(entries):
            where = f'{source}, class {label!r}, image {number}'
            if not isinstance(entry, dict) or 'raw' not in entry:
                raise ValueError(
                    f'{where}: expected an object with filename, split and raw, got {entry!r:.80}'
                )
            keys = sorted(
                (key for key in entry if re.fullmatch(r'raw(_\d+)?', key)),
                key=lambda key: int(key[4:] or 0),
            )
            yield (
                where,
                dict(
                    filename=entry.get('filename'),
                    split=entry.get('split'),
                    sentences=[dict(raw=entry[key]) for key in keys],
                    label=label,
                ),
            )


def _without_label(entry: Any) -> Any:
    """In Karpathy's layout, a field with this name is not the scene class."""
    if not isinstance(entry, dict):
        return entry
    return {key: value for key, value in entry.items() if key != 'label'}


def _parse(entry: Any, where: str, builder: ItemBuilder) -> tuple[str, Source]:
    try:
        name, split = entry['filename'], MERGED.get(entry['split'], entry['split'])
        captions = [sentence['raw'] for sentence in entry['sentences']]
        label, folder = entry.get('label'), entry.get('filepath') or entry.get('label') or ''
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{where}: expected filename, split and sentences[].raw ({error!r})'
        ) from error
    if split not in SPLITS:
        raise ValueError(f'{where}: split must be one of {SPLITS} or restval, got split {split!r}')
    for key, text in (
        ('filename', name),
        ('filepath', folder),
        *(('raw', text) for text in captions),
    ):
        if not isinstance(text, str):
            raise ValueError(f'{where}: {key} must be a string, got {text!r:.80}')
    # Some files name a folder that the images are not in, or name it twice.
    inside = f'{folder}/{name}' if folder and not name.startswith(f'{folder}/') else name
    plain = Source(name, captions, where, fields=dict(label=label))
    within = replace(plain, name=inside)
    return split, within if name and builder.locate(within) else plain
