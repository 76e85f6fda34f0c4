"""A table of free attributes, joined to the items of an index by the name of the image."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from urbancross_mm.inference.gallery_builder import NameFinder
from urbancross_mm.inference.indexing.base_source import RESERVED, TEXTS, BaseSource, plain
from urbancross_mm.inference.indexing.value_checks import check_values
from urbancross_mm.utils.text_files import read_text

NAME_COLUMNS = ('img_path', 'image', 'file', 'filename', 'name', 'img_id')
# What an index itself says of an item.
OWN = (*RESERVED, 'window')
LIST_COLUMNS = ('tags', 'geo_tags', 'captions')

Table = Mapping[str, Mapping[str, Any]]


def read_attributes(path: str) -> dict[str, dict[str, Any]]:
    """Read a table with one row per image.

    The first column of ``img_path``, ``image``, ``file``, ``filename``, ``name`` and ``img_id``
    that it has names the image: a path below the source, or a file name that only one has.
    Numbers become numbers, but for ``date`` and ``country``; ``tags`` of a CSV file are separated
    by ``|``.

    Args:
        path (str): A ``.csv`` or ``.parquet`` file.

    Returns:
        dict[str, dict]: Attributes by name.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If no column names images, a name stands twice, a column has a name that the
            index uses itself, or a date or a place is none.
    """
    rows = _read_parquet(path) if path.endswith('.parquet') else _read_csv(path)
    columns = list(rows[0]) if rows else []
    key = next((name for name in NAME_COLUMNS if name in columns), None)
    if key is None:
        raise ValueError(
            f'{path} needs a column that names the image ({", ".join(NAME_COLUMNS)}), it has '
            f'{", ".join(map(str, columns)) or "no row"}'
        )
    own = [name for name in columns if name in OWN]
    if own:
        raise ValueError(f'{path}: the index itself uses the name {own[0]!r}: rename the column')
    table: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(rows, 1):
        name = str(row[key])
        if name in table:
            raise ValueError(f'{path} has two rows for {name!r}')
        table[name] = plain(row, (key,))
        check_values(table[name], f'{path}, row {number} ({name})')
    return table


def join_attributes(table: Table, sources: Sequence[BaseSource]) -> list[dict[str, dict[str, Any]]]:
    """Give the files of every source their attributes.

    Args:
        table (Mapping): Of :func:`read_attributes`.
        sources (Sequence[BaseSource]): All sources of one run.

    Returns:
        list[dict]: For each source, attributes by file.

    Raises:
        ValueError: If a name fits no file, or several.
    """
    finders = [NameFinder(source.files, source.path) for source in sources]
    joined: list[dict[str, dict[str, Any]]] = [{} for _ in sources]
    for name, values in table.items():
        fits = [(number, file) for number, find in enumerate(finders) for file in find(name)]
        if len(fits) != 1:
            what = 'no image' if not fits else f'{len(fits)} images, such as {fits[0][1]}'
            raise ValueError(
                f'the attributes of {name!r} fit {what}: a name is a path below '
                f'{sources[0].path}, like {next(iter(sources[0].files), "")!r}'
            )
        number, file = fits[0]
        if file in joined[number]:
            raise ValueError(f'two rows of the attributes mean {file!r}, one of them {name!r}')
        joined[number][file] = dict(values)
    return joined


def _read_csv(path: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(read_text(path)))
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise ValueError(f'{path}, line {reader.line_num}: more or fewer cells than columns')
        rows.append({name: _value(name, text) for name, text in row.items()})
    return rows


def _value(name: str, text: str) -> Any:
    text = text.strip()
    if name in NAME_COLUMNS:
        return text
    if name in LIST_COLUMNS:
        return [part.strip() for part in text.split('|') if part.strip()]
    if name in TEXTS:
        return text or None
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        # 007 and 1_000 are names; so are nan and inf.
        return value if text[:1] in '-.0123456789' and _is_number(text) else text
    return {'': None, 'true': True, 'false': False}.get(text.lower(), text)


def _is_number(text: str) -> bool:
    digits = text.lstrip('-')
    return '_' not in text and not (digits[:1] == '0' and digits[1:2].isdigit())


def _read_parquet(path: str) -> list[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    if not Path(path).is_file():
        raise FileNotFoundError(f'no file {path}')
    try:
        return pyarrow.parquet.read_table(path, partitioning=None).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).partition('\n')[0][:200]
        raise ValueError(f'{path} is not a readable Parquet file: {reason}') from error
