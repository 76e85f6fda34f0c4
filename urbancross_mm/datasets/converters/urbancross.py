"""The released folder of an UrbanCross country: a CSV of descriptions, pictures, split lists."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from urbancross_mm.datasets.converters import options as common
from urbancross_mm.datasets.converters.annotations import hash_file, read_lines
from urbancross_mm.datasets.converters.records import RecordBuilder, convert_splits
from urbancross_mm.datasets.converters.sources import Problems, Source
from urbancross_mm.utils.paths import check_relative
from urbancross_mm.utils.splits import country_split, with_twins

SPLITS = ('train', 'val', 'test', 'finetune', 'finetune_val')
RULES = ('auto', 'lists', 'nested')
REQUIRED = ('image_name', 'description')
TAG_COLUMN = 'title_multi_objects'
BOUNDS = dict(lon=180.0, lat=90.0)


@dataclass(kw_only=True)
class Options(common.Options):
    """What the command line decides; further fields in :class:`options.Options`.

    Attributes:
        root (Path): Folder of the country.
        images (Path | None): None: ``images`` below the root, if it is there.
        csv (Path | None): The descriptions; None: the only ``*refine*.csv`` of the folder.
        split (str): 'lists' takes ``*_list.txt``, 'nested' draws a split that does not leak, 'auto'
            takes the lists if there are any.
    """

    csv: Path | None = None
    split: str = 'auto'

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.split not in RULES:
            raise ValueError(f'split must be one of {RULES}, got {self.split!r}')
        if self.images is None and (self.root / 'images').is_dir():
            self.images = self.root / 'images'


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
    table = options.csv or find_csv(options.root)
    problems = Problems(options.skip_bad)
    rows = problems.check(read_rows(table))
    described = {source.name: source for source in rows if source.captions[0].strip()}
    builder = RecordBuilder(options, labels=False)
    lists, unknown = {}, 0
    if options.split != 'nested':
        lists, unknown = read_lists(options.root, [row.name for row in rows])
    if options.split == 'lists' and not lists:
        raise FileNotFoundError(f'no *_list.txt in {options.root}: give --split nested')
    splits = lists or _draw(described, builder, options)
    # Pictures in the order of the CSV, as published.
    members = {split: set(names) for split, names in splits.items()}
    sources = {split: [row for name, row in described.items() if name in members[split]]
               for split in SPLITS if split in splits}
    files = [table, *sorted(options.root.glob('*_list.txt'))] if lists else [table]
    return convert_splits(options, sources, builder, problems, dict(
        generator='urbancross.py', split_rule='lists' if lists else 'nested',
        rows_without_description=len(rows) - len(described), listed_without_row=unknown,
        sources={path.name: hash_file(path) for path in files}))


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


def read_rows(path: Path) -> Iterator[Source]:
    """Read the descriptions.

    Args:
        path (Path): A CSV with ``image_name`` and ``description``; ``title_multi_objects``, ``lon``
            and ``lat`` are taken where they exist.

    Returns:
        Iterator[Source]: Every row.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, the file cannot be read, or a coordinate is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f'no file {path}')
    with open(path, encoding='utf-8-sig', newline='') as file:
        reader = csv.DictReader(file)
        try:
            found = reader.fieldnames or []
            missing = [name for name in REQUIRED if name not in found]
            if missing:
                raise ValueError(f'{path} has no column {" and ".join(missing)}; it has '
                                 f'{", ".join(found) or "none"}')
            start = reader.line_num + 1
            for row in reader:
                # A description in quotes may run over several lines: name the first.
                yield _source(row, f'{path}, line {start}')
                start = reader.line_num + 1
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f'{path}, after line {reader.line_num}: {error}') from error


def read_lists(root: Path, known: Collection[str]) -> tuple[dict[str, list[str]], int]:
    """Read the published ``*_list.txt`` files, where there are any.

    Args:
        root (Path): Folder of the country.
        known (Collection[str]): Names that the CSV has a row for.

    Returns:
        tuple[dict[str, list[str]], int]: Names of each split, empty without lists; and how many
        names have no row, which the published reader drops too.

    Raises:
        FileNotFoundError: If only some of train, val and test have a list.
        ValueError: If no listed name has a row, or a picture is in two splits that must not share.
    """
    files = {split: root / f'{split}_list.txt' for split in SPLITS}
    present = {split: path for split, path in files.items() if path.is_file()}
    if not present:
        return {}, 0
    absent = [files[split].name for split in ('train', 'val', 'test') if split not in present]
    if absent:
        raise FileNotFoundError(f'{root} has {", ".join(p.name for p in present.values())} but no '
                                f'{", ".join(absent)}: give --split nested')
    splits = {split: [check_relative(name, f'{path}, line {number}')
                      for number, name in enumerate(read_lines(path), 1) if name]
              for split, path in present.items()}
    for split in present:
        _check_leak(present, splits, split, 'test')
    _check_leak(present, splits, 'train', 'val')
    _check_leak(present, splits, 'finetune', 'finetune_val')
    listed = {name for names in splits.values() for name in names}
    if not listed & set(known):
        raise ValueError(f'none of the {len(listed)} names in the lists of {root} has a row in the '
                         'CSV')
    return splits, len(listed - set(known))


def parse_tags(text: str) -> list[str]:
    """Read SkyScript's tags, ``a of b, c of d; surrounded by e of f, g of h;``.

    Args:
        text (str): A cell of ``title_multi_objects``.

    Returns:
        list[str]: Distinct ``key of value`` texts, those of the focus first.
    """
    tags = (tag.strip().removeprefix('surrounded by').strip() for tag in re.split('[,;]', text))
    return list(dict.fromkeys(tag for tag in tags if tag))


def _source(row: dict[str, str | None], where: str) -> Source:
    fields = dict(geo_tags=parse_tags(row.get(TAG_COLUMN) or '') or None,
                  **{column: _coordinate(row, column, where) for column in BOUNDS})
    return Source((row['image_name'] or '').strip(), [row['description'] or ''], where,
                  fields=fields)


def _coordinate(row: dict[str, str | None], column: str, where: str) -> float | None:
    text = (row.get(column) or '').strip()
    try:
        value = float(text) if text else None
    except ValueError:
        value = math.nan
    if value is not None and not abs(value) <= BOUNDS[column]:
        raise ValueError(f'{where}: {column} must lie within {BOUNDS[column]:g} degrees of 0, got '
                         f'{text!r}')
    return value


def _draw(described: dict[str, Source], builder: RecordBuilder, options: Options
          ) -> dict[str, list[str]]:
    """The nested split; with ``only_present``, of the pictures that are on disk."""
    names = [name for name in described if not options.only_present or builder.find(name)]
    twins = builder.twins(names)
    return with_twins(country_split([name for name in names if name not in twins], options.seed),
                      twins)


def _check_leak(files: dict[str, Path], splits: dict[str, list[str]], one: str, other: str
                ) -> None:
    if one == other or one not in splits or other not in splits:
        return
    shared = set(splits[one]) & set(splits[other])
    if shared:
        raise ValueError(f'{files[one]} and {files[other]} share {len(shared)} pictures, first '
                         f'{min(shared)!r}: give --split nested for a split that does not leak')
