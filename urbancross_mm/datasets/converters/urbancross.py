"""The released folder of an UrbanCross country: a CSV of descriptions, pictures, split lists."""

from __future__ import annotations

import csv
from collections.abc import Mapping
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
from urbancross_mm.datasets.converters.splits import country_split, split_hash
from urbancross_mm.datasets.converters.vocab import write_vocabulary
from urbancross_mm.utils.paths import check_relative

SPLITS = ('train', 'val', 'test', 'finetune', 'finetune_val')
REQUIRED = ('image_name', 'description')
TAG_COLUMN = 'title_multi_objects'


@dataclass
class Options:
    """What the command line decides.

    Attributes:
        root (Path): Folder of the country.
        out (Path): Folder for the annotations.
        name (str): Of the data set, its domain and the files.
        csv (Path | None): The descriptions; None: the only ``*refine*.csv`` of the folder.
        seed (int): Of the split, where there are no lists.
        only_present (bool): Leave out pictures that are not on disk, and count them.
        force (bool): Overwrite.
        suffix (str): ``.json`` or ``.parquet``.
    """

    root: Path
    out: Path
    name: str
    csv: Path | None = None
    seed: int = 0
    only_present: bool = False
    force: bool = False
    suffix: str = '.json'


def convert(options: Options) -> dict[str, dict[str, int]]:
    """Convert one country.

    Args:
        options (Options): See there.

    Returns:
        dict[str, dict[str, int]]: Counts of each split that was written.

    Raises:
        FileNotFoundError: If the CSV or a picture is missing.
        FileExistsError: If an output exists and ``force`` is off.
        ValueError: If the CSV or a list is wrong; the sentence names file and line.
    """
    names = {split: options.out / f'{options.name}_{split}{options.suffix}' for split in SPLITS}
    vocabulary = options.out / f'{options.name}_vocab.json'
    refuse_overwrite([*names.values(), vocabulary], options.force)
    table = options.csv or find_csv(options.root)
    rows, empty = read_rows(table)
    rows, missing = _on_disk(rows, options)
    lists = sorted(options.root.glob('*_list.txt'))
    splits = read_lists(options.root, rows) or country_split(list(rows), options.seed)
    items = _items(rows, options)
    counts = {}
    for split, members in splits.items():
        chosen = set(members)
        part = [item for name, item in items.items() if name in chosen]  # in the order of the CSV
        counts[split] = counts_of(part)
        metainfo = dict(
            dataset=options.name, domain=options.name, split=split, generator='urbancross.py',
            seed=options.seed, split_rule='lists' if lists else 'nested',
            split_hash=split_hash(members),
            sources={path.name: hash_file(path) for path in [table, *lists]},
            counts=dict(counts[split], dropped_rows_without_description=empty,
                        dropped_missing_pictures=missing))
        write_annotations(names[split], part, metainfo, force=True)
        if split == 'train':
            write_vocabulary(vocabulary, [text for item in part for text in item['captions']])
    return counts


def find_csv(root: Path) -> Path:
    """Find the released descriptions.

    Args:
        root (Path): Folder of the country.

    Returns:
        Path: The CSV.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If there are several.
    """
    found = sorted(root.glob('*refine*.csv'))
    if not found:
        raise FileNotFoundError(f'no *refine*.csv in {root}: name the descriptions with --csv')
    if len(found) > 1:
        raise ValueError(f'{root} has {len(found)} *refine*.csv files '
                         f'({", ".join(p.name for p in found)}): choose one with --csv')
    return found[0]


def read_rows(path: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """Read the descriptions.

    Args:
        path (Path): A CSV with ``image_name`` and ``description``; ``title_multi_objects``, ``lon``
            and ``lat`` are taken where they exist.

    Returns:
        tuple[dict, int]: Row of each picture, and how many rows had no description.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, or a name is empty, climbs out, or stands twice.
    """
    if not path.is_file():
        raise FileNotFoundError(f'no file {path}')
    rows: dict[str, dict[str, Any]] = {}
    lines: dict[str, int] = {}
    empty = 0
    with open(path, encoding='utf-8-sig', newline='') as file:
        reader = csv.DictReader(file)
        missing = [name for name in REQUIRED if name not in (reader.fieldnames or [])]
        if missing:
            raise ValueError(f'{path} has no column {" and ".join(missing)}; it has '
                             f'{", ".join(reader.fieldnames or ["none"])}')
        for row in reader:
            where = f'{path}, line {reader.line_num}'
            name = check_relative((row['image_name'] or '').strip(), where)
            if name in lines:
                raise ValueError(f'{where}: picture {name!r} was used before, in line '
                                 f'{lines[name]}')
            lines[name] = reader.line_num
            if (row['description'] or '').strip():
                rows[name] = dict(row, where=where)
            else:
                empty += 1
    return rows, empty


def read_lists(root: Path, rows: Mapping[str, Any]) -> dict[str, list[str]]:
    """Read the published ``*_list.txt`` files, where there are any.

    Args:
        root (Path): Folder of the country.
        rows (Mapping): Pictures of the CSV; names that it lacks are dropped, as published.

    Returns:
        dict[str, list[str]]: Names of each split; empty without lists.

    Raises:
        FileNotFoundError: If only some of train, val and test have a list.
        ValueError: If a test picture is also trained, validated or fine-tuned on.
    """
    files = {split: root / f'{split}_list.txt' for split in SPLITS}
    present = {split: path for split, path in files.items() if path.is_file()}
    if not present:
        return {}
    absent = [files[split].name for split in ('train', 'val', 'test') if split not in present]
    if absent:
        raise FileNotFoundError(f'{root} has {", ".join(p.name for p in present.values())} but no '
                                f'{", ".join(absent)}')
    splits = {split: [check_relative(name, f'{path}, line {number}')
                      for number, name in enumerate(read_lines(path), 1) if name]
              for split, path in present.items()}
    for split in present:
        leaked = set(splits[split]) & set(splits['test']) if split != 'test' else set()
        if leaked:
            raise ValueError(f'{present[split]} and {present["test"]} share {len(leaked)} pictures '
                             f'({min(leaked)}, ...): the test would be trained on')
    return {split: [name for name in names if name in rows] for split, names in splits.items()}


def _on_disk(rows: dict[str, dict[str, Any]], options: Options
             ) -> tuple[dict[str, dict[str, Any]], int]:
    """Keep the rows whose picture exists, before any split is drawn."""
    images = options.root / 'images'
    if not images.is_dir():
        return rows, 0  # annotations convert without pictures at hand
    pictures = PictureFolder(images)
    present = {name: row for name, row in rows.items() if pictures.find(name)}
    missing = len(rows) - len(present)
    if missing and not options.only_present:
        name = next(name for name in rows if name not in present)
        raise FileNotFoundError(
            f'{missing} pictures are not in {images}, first {name!r} ({rows[name]["where"]}): '
            'give --only-present to leave them out and count them')
    return present, missing


def _items(rows: Mapping[str, dict[str, Any]], options: Options) -> dict[str, Item]:
    images = options.root / 'images'
    pictures = PictureFolder(images) if images.is_dir() else None
    segments = Companions(sibling(images, 'segments'), '.json')
    seg_maps = Companions(sibling(images, 'seg_maps'), '.png')
    items = {}
    for name, row in tqdm(rows.items(), desc=options.name, unit='picture'):
        path = (pictures and pictures.find(name)) or name
        tags = [tag.strip(' ;') for tag in (row.get(TAG_COLUMN) or '').split(',')]
        items[name] = make_item(
            options.name, options.name, path, [row['description']],
            geo_tags=[tag for tag in tags if tag] or None, lon=_number(row, 'lon'),
            lat=_number(row, 'lat'), segments=segments.find(path), seg_map_path=seg_maps.find(path))
    return items


def _number(row: Mapping[str, Any], column: str) -> float | None:
    text = (row.get(column) or '').strip()
    try:
        return float(text) if text else None
    except ValueError:
        raise ValueError(f'{row["where"]}: {column} {text!r} is no number') from None
