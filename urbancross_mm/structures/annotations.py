"""Reading and writing annotation files, JSON or Parquet.

A file holds ``{"metainfo": {...}, "data_list": [...]}``. The items and their check are in
:mod:`urbancross_mm.structures.annotation_schema`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from urbancross_mm.structures.annotation_schema import META_KEYS, SCHEMA, Item, check_items
from urbancross_mm.structures.class_maps import check_classes
from urbancross_mm.utils.text_files import parse_json, read_json
from urbancross_mm.version import __version__


def missing_data_message(what: str, path: str) -> str:
    """Say what is missing, where it was looked for, what makes it, and how to run without it.

    Args:
        what (str): What is missing, such as 'annotation file'.
        path (str): Where it was looked for.

    Returns:
        str: One sentence.
    """
    if 'data/sample/' in path:
        return (
            f'{what} not found: {Path(path).absolute()} (with --sample, data/ means data/sample/: '
            'put your dataset there, or leave out --sample)'
        )
    return (
        f'{what} not found: {Path(path).absolute()} (tools/dataset_converters/ makes it: '
        'urbancross.py, precomp.py or karpathy.py from published data, image_folder.py from '
        'tiles without captions, seg_maps.py from masks; tools/curate.py captions your own tiles; '
        'the flag --sample runs every config on generated data instead)'
    )


def load_annotations(
    path: str, captions_required: bool = True
) -> tuple[dict[str, Any], list[Item]]:
    """Read an annotation file and check every item of it.

    Args:
        path (str): A ``.json`` file ``{"metainfo": {...}, "data_list": [...]}``, or a ``.parquet``
            file with one row per item and the metainfo as JSON in the schema metadata.
        captions_required (bool): Whether an image without captions is an error. Defaults to True.

    Returns:
        tuple[dict, list[dict]]: The metainfo and the items, as written in the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not of schema 1 or an item is wrong; the message names the
            file and the item.
    """
    metainfo, items = read_annotations(path)
    check_items(items, path, captions_required)
    return metainfo, items


def read_annotations(path: str) -> tuple[dict[str, Any], list[Any]]:
    """Read an annotation file as it is, for tools that look into broken ones.

    Args:
        path (str): See :func:`load_annotations`.

    Returns:
        tuple[dict, list]: The metainfo and the items, unchecked.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not of schema 1.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(missing_data_message('annotation file', path))
    read = _read_parquet if path.endswith('.parquet') else _read_json
    metainfo, items = read(path)
    if metainfo.get('schema') != SCHEMA:
        raise ValueError(
            f'{path} has schema {metainfo.get("schema")!r} and this version reads schema '
            f'{SCHEMA}: convert the data again with tools/dataset_converters'
        )
    for key in META_KEYS:
        if not isinstance(metainfo.get(key), str | None):
            raise ValueError(
                f"{path}, 'metainfo': {key!r} must be a string, got {metainfo[key]!r:.80}"
            )
    check_classes(metainfo, path)
    return metainfo, items


def encode_annotations(
    path: str | Path,
    items: Sequence[Item],
    metainfo: Mapping[str, Any],
    captions_required: bool = True,
) -> bytes:
    """Content of a new annotation file: the items are checked, schema and version are noted.

    Args:
        path (str | Path): What it will be, ``.json`` or ``.parquet``.
        items (Sequence[dict]): Items of :func:`make_item`.
        metainfo (Mapping): ``dataset, domain, split, generator, seed, sources, counts``.
        captions_required (bool): Whether an image without captions is an error. Defaults to True.

    Returns:
        bytes: The content.

    Raises:
        ValueError: If an item is wrong, or there is none.
    """
    if not items:
        raise ValueError(f'{path} would have no image')
    check_items(items, str(path), captions_required)
    generator = f'{metainfo.get("generator", "")} {__version__}'.strip()
    return encode_file(path, dict(schema=SCHEMA, **{**metainfo, 'generator': generator}), items)


def encode_file(path: str | Path, metainfo: Mapping[str, Any], items: Sequence[Item]) -> bytes:
    """Content of an annotation file with this metainfo and these items, unchecked.

    Args:
        path (str | Path): What it will be, ``.json`` or ``.parquet``.
        metainfo (Mapping): All of it, ``schema`` included.
        items (Sequence[dict]): The items.

    Returns:
        bytes: The content.

    Raises:
        ValueError: If a value cannot be written.
    """
    if Path(path).suffix == '.parquet':
        return _encode_parquet(metainfo, items)
    content = dict(metainfo=metainfo, data_list=items)
    try:
        text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
        return f'{text}\n'.encode()
    except ValueError as error:
        raise ValueError(f'{path} would not be valid JSON: {error}') from error


def _read_json(path: str) -> tuple[dict[str, Any], list[Any]]:
    content = read_json(path)
    if (
        not isinstance(content, dict)
        or not isinstance(content.get('metainfo'), dict)
        or not isinstance(content.get('data_list'), list)
    ):
        raise ValueError(f"{path} must be an object with 'metainfo' and 'data_list'")
    return content['metainfo'], content['data_list']


def _read_parquet(path: str) -> tuple[dict[str, Any], list[Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        # Without partitioning=None a folder called `a=b` on the way to the file is a column.
        table = pyarrow.parquet.read_table(path, partitioning=None)
    except (pyarrow.ArrowException, OSError) as error:
        # More lines list all columns.
        reason = str(error).partition('\n')[0][:200]
        raise ValueError(f'{path} is not a readable Parquet file: {reason}') from error
    packed = (table.schema.metadata or {}).get(b'metainfo')
    if packed is None:
        raise ValueError(f"{path} has no 'metainfo' in its schema metadata")
    metainfo = parse_json(packed.decode('utf-8', 'replace'), f"the 'metainfo' of {path}")
    if not isinstance(metainfo, dict):
        raise ValueError(f"the 'metainfo' of {path} must be an object, got {metainfo!r:.80}")
    # A column that only some items have holds nulls for the others.
    try:
        items = [
            {key: value for key, value in row.items() if value is not None}
            for row in table.to_pylist()
        ]
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise ValueError(f'{path} holds values that cannot be read: {error}') from error
    return metainfo, items


def _encode_parquet(metainfo: Mapping[str, Any], items: Sequence[Item]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    keys = list(dict.fromkeys(key for item in items for key in item))
    table = pyarrow.table({key: [item.get(key) for item in items] for key in keys})
    table = table.replace_schema_metadata({b'metainfo': json.dumps(metainfo).encode()})
    buffer = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue().to_pybytes()
