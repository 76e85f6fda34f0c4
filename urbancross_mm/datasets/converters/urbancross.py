"""The released folder of an UrbanCross country: a CSV of descriptions, images, split lists."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from urbancross_mm.datasets.converters import options as common
from urbancross_mm.datasets.converters.records import ItemBuilder, convert_splits
from urbancross_mm.datasets.converters.sources import Problems, Source, hash_file
from urbancross_mm.datasets.converters.tables import Table, choose_columns
from urbancross_mm.datasets.splits import country_split, with_duplicates
from urbancross_mm.utils.paths import check_relative
from urbancross_mm.utils.text_files import read_lines

SPLITS = ('train', 'val', 'test', 'finetune', 'finetune_val')
RULES = ('auto', 'lists', 'nested')
# Of the release and of SkyScript.
COLUMNS = (('image_name', 'description'), ('filepath', 'title'))
TAG_COLUMN = 'title_multi_objects'
BOUNDS = dict(lon=180.0, lat=90.0)


@dataclass(kw_only=True)
class Options(common.Options):
    """What the command line decides; further fields in :class:`options.Options`.

    Attributes:
        root (Path): Folder of the country.
        images (Path | None): None: ``images`` below the root, if it is there.
        csv (Path | None): The descriptions; None: the only ``*refine*.csv`` of the folder.
        image_column (str | None): Column of the image names; None: that of the release or of
            SkyScript.
        caption_column (str | None): Column of the captions; None: the same.
        split (str): 'lists' takes ``*_list.txt``, 'nested' draws a split that does not leak, 'auto'
            takes the lists if there are any.
    """

    csv: Path | None = None
    image_column: str | None = None
    caption_column: str | None = None
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
        FileNotFoundError: If the CSV or an image is missing.
        FileExistsError: If an output exists and ``force`` is off.
        ValueError: If the CSV or a list is wrong; the message names file and line.
    """
    table = options.csv or find_csv(options.root)
    problems = Problems(options.skip_bad)
    builder = ItemBuilder(options, labels=False)
    lists = {} if options.split == 'nested' else read_lists(options.root)
    listed = {name for names in lists.values() for name in names}
    rows = problems.check(
        read_rows(
            table,
            options.image_column,
            options.caption_column,
            listed.union(builder.images.names if builder.images else ()),
        )
    )
    described = {source.name: source for source in rows if source.captions[0].strip()}
    if not described:
        raise ValueError(f'{table} has no row with a caption')
    unknown = check_lists(options, listed, [row.name for row in rows])
    splits = lists or _draw(described, builder, options, table)
    # Images in the order of the CSV, as published.
    members = {split: set(names) for split, names in splits.items()}
    sources = {
        split: [row for name, row in described.items() if name in members[split]]
        for split in SPLITS
        if split in splits
    }
    files = [table, *sorted(options.root.glob('*_list.txt'))] if lists else [table]
    return convert_splits(
        options,
        sources,
        builder,
        problems,
        dict(
            generator='urbancross.py',
            split_rule='lists' if lists else 'nested',
            rows_without_description=len(rows) - len(described),
            listed_without_row=unknown,
            sources={path.name: hash_file(path) for path in files},
        ),
    )


def find_csv(root: Path) -> Path:
    """The only ``*refine*.csv`` of a folder."""
    tables = sorted(root.glob('*refine*.csv'))
    if not tables:
        raise FileNotFoundError(f'no *refine*.csv in {root}: name the descriptions with --csv')
    if len(tables) > 1:
        raise ValueError(
            f'{root} has {len(tables)} *refine*.csv files '
            f'({", ".join(p.name for p in tables)}): choose one with --csv'
        )
    return tables[0]


def read_rows(
    path: Path,
    image_column: str | None = None,
    caption_column: str | None = None,
    names: Collection[str] = (),
) -> Iterator[Source]:
    """Read the descriptions of the release or of SkyScript, with tags and position where given.

    ``names`` are image names, to find rows inside a description.
    """
    table = Table(path)
    image, caption = choose_columns(table, COLUMNS, image_column, caption_column)
    table.check_once((image, caption, TAG_COLUMN, *BOUNDS))
    for line, row in table.rows(names):
        where = f'{path}, line {line}'
        fields = dict(
            geo_tags=parse_tags(row.get(TAG_COLUMN, '')) or None,
            **{column: _coordinate(row, column, where) for column in BOUNDS},
        )
        yield Source(row[image].strip(), [row[caption]], where, fields=fields)


def read_lists(root: Path) -> dict[str, list[str]]:
    """Names of each split in the published ``*_list.txt`` files; empty if there are none."""
    files = {split: root / f'{split}_list.txt' for split in SPLITS}
    present = {split: path for split, path in files.items() if path.is_file()}
    if not present:
        return {}
    absent = [files[split].name for split in ('train', 'val', 'test') if split not in present]
    if absent:
        raise FileNotFoundError(
            f'{root} has {", ".join(p.name for p in present.values())} but no '
            f'{", ".join(absent)}: give --split nested'
        )
    splits = {
        split: [
            check_relative(name, f'{path}, line {number}')
            for number, name in enumerate(read_lines(path), 1)
            if name
        ]
        for split, path in present.items()
    }
    for split in present:
        _check_leak(present, splits, split, 'test')
    _check_leak(present, splits, 'train', 'val')
    _check_leak(present, splits, 'finetune', 'finetune_val')
    return splits


def check_lists(options: Options, listed: Collection[str], known: Collection[str]) -> int:
    """Compare the names in the lists with those of the CSV, and print what only one has.

    Returns how many listed names have no row. The published reader drops them, too.
    """
    if not listed:
        if options.split == 'lists':
            raise FileNotFoundError(
                f'no *_list.txt with a name in {options.root}: give --split nested'
            )
        return 0
    unknown, unlisted = set(listed) - set(known), set(known) - set(listed)
    if len(unknown) == len(listed):
        raise ValueError(
            f'none of the {len(listed)} names in the lists of {options.root} has a row in the CSV'
        )
    for names, what in (
        (unknown, 'names in the lists have no row in the CSV'),
        (unlisted, 'rows of the CSV are in no list'),
    ):
        if names:
            print(f'note: {len(names)} {what}, first {min(names)!r}', file=sys.stderr)
    return len(unknown)


def parse_tags(text: str) -> list[str]:
    """Read SkyScript's tags, ``a of b, c of d; surrounded by e of f, g of h;``."""
    tags = (tag.strip().removeprefix('surrounded by').strip() for tag in re.split('[,;]', text))
    return list(dict.fromkeys(tag for tag in tags if tag))


def _coordinate(row: dict[str, str], column: str, where: str) -> float | None:
    text = row.get(column, '').strip()
    try:
        value = float(text) if text else None
    except ValueError:
        value = math.nan
    if value is not None and not abs(value) <= BOUNDS[column]:
        raise ValueError(
            f'{where}: {column} must lie within {BOUNDS[column]:g} degrees of 0, got {text!r}'
        )
    return value


def _draw(
    described: dict[str, Source], builder: ItemBuilder, options: Options, table: Path
) -> dict[str, list[str]]:
    """The nested split; with ``only_present``, of the images that are on disk."""
    names = [name for name in described if not options.only_present or builder.find(name)]
    duplicates = builder.duplicates(names)
    try:
        splits = country_split([name for name in names if name not in duplicates], options.seed)
    except ValueError as error:
        raise ValueError(f'{table}: {error}') from error
    return with_duplicates(splits, duplicates)


def _check_leak(
    files: dict[str, Path], splits: dict[str, list[str]], first: str, second: str
) -> None:
    if first == second or first not in splits or second not in splits:
        return
    shared = set(splits[first]) & set(splits[second])
    if shared:
        raise ValueError(
            f'{files[first]} and {files[second]} share {len(shared)} images, first '
            f'{min(shared)!r}: give --split nested for a split that does not leak'
        )
