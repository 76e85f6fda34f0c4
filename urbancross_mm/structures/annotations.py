"""Reading and checking the one annotation format, JSON or Parquet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from urbancross_mm.utils.paths import check_relative
from urbancross_mm.utils.text_files import parse_json, read_json

SCHEMA = 1
PATH_KEYS = ('img_path', 'segments', 'seg_map_path')
META_TEXTS = ('dataset', 'domain', 'split')
DEGREES = dict(lon=180, lat=90)


def missing_data_message(what: str, path: str) -> str:
    """Say what is missing, where it was looked for, what makes it, and how to run without it.

    Args:
        what (str): What is missing, such as 'annotation file'.
        path (str): Where it was looked for.

    Returns:
        str: One sentence.
    """
    return (
        f'{what} not found: {Path(path).absolute()} (tools/dataset_converters/ makes it: '
        'urbancross.py, precomp.py or karpathy.py from published data, image_folder.py from '
        'tiles without captions; tools/curate.py captions your own tiles; the flag --sample runs '
        'every config on generated data instead)'
    )


def load_annotations(
    path: str, captions_required: bool = True
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Read an annotation file and check every item of it.

    Args:
        path (str): A ``.json`` file ``{"metainfo": {...}, "data_list": [...]}``, or a ``.parquet``
            file with one row an item and the metainfo as JSON in the schema metadata.

    Returns:
        tuple[dict, list[dict]]: The metainfo and the items, as written in the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not of schema 1 or an item is wrong; the sentence names the
            file and the item.
    """
    metainfo, items = read_annotations(path)
    check_items(items, path, captions_required)
    return metainfo, items


def read_annotations(path: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Read an annotation file as it is, for tools that look into broken ones.

    Args:
        path (str): See :func:`load_annotations`.

    Returns:
        tuple[dict, list[dict]]: The metainfo and the items, unchecked.

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
    for key in META_TEXTS:
        if metainfo.get(key) is not None:
            _check_text(metainfo, key, f"{path}, 'metainfo'")
    return metainfo, items


def check_items(items: Iterable[dict[str, Any]], path: str, captions_required: bool = True) -> None:
    """Check the items of an annotation file.

    Args:
        items (Iterable[dict]): The items.
        path (str): The file, for the message.
        captions_required (bool): Whether an image without captions is an error. Defaults to True.

    Raises:
        ValueError: At the first item with a missing or empty field, an empty caption, an id that
            was used before, or a file name that leaves its folder.
    """
    for _, problem in item_problems(items, path, captions_required):
        raise ValueError(problem)


def item_problems(
    items: Iterable[dict[str, Any]], path: str, captions_required: bool = True
) -> Iterator[tuple[int, str]]:
    """Find every wrong item of an annotation file.

    Args:
        items (Iterable[dict]): The items.
        path (str): The file, for the messages.
        captions_required (bool): Whether an image without captions is wrong. Defaults to True.

    Returns:
        Iterator[tuple[int, str]]: Position of an item and the first thing that is wrong with it.
    """
    images: dict[str, int] = {}
    captions: dict[str, int] = {}
    for index, item in enumerate(items):
        where = f'{path}, item {index}'
        try:
            _check_fields(item, where, captions_required)
            _check_unique(images, [item['img_id']], index, where, 'img_id')
            _check_unique(captions, item.get('caption_ids') or [], index, where, 'caption id')
        except ValueError as error:
            yield index, str(error)


def _check_fields(item: Any, where: str, captions_required: bool) -> None:
    if not isinstance(item, dict):
        raise ValueError(f'{where}: expected an object, got {type(item).__name__}')
    for key in ('img_id', 'img_path'):
        if not isinstance(item.get(key), str) or not item[key]:
            raise ValueError(f'{where}: {key!r} must be a non-empty string, got {item.get(key)!r}')
    if captions_required or item.get('captions') not in (None, []):
        _check_captions(item, where)
    for key in PATH_KEYS:
        if item.get(key) is not None:
            _check_text(item, key, where)
            check_relative(item[key], where)
    _check_optional(item, where)


def _check_captions(item: dict[str, Any], where: str) -> None:
    captions = item.get('captions')
    where = f'{where} ({item["img_id"]})'
    if not isinstance(captions, list) or not captions:
        raise ValueError(f"{where}: 'captions' must be a non-empty list, got {captions!r}")
    for position, caption in enumerate(captions):
        if not isinstance(caption, str) or not caption.strip():
            raise ValueError(f'{where}: caption {position} is empty or no text: {caption!r}')
    ids = item.get('caption_ids')
    if ids is not None and (not isinstance(ids, list) or len(ids) != len(captions)):
        raise ValueError(f'{where}: {len(captions)} captions but caption_ids is {ids!r}')
    if not all(isinstance(one, str | int) for one in ids or []):
        raise ValueError(f'{where}: caption_ids must be texts or numbers, got {ids!r:.80}')


def _check_optional(item: dict[str, Any], where: str) -> None:
    """Fields that an item may lack, but not have of another type."""
    where = f'{where} ({item["img_id"]})'
    if item.get('domain') is not None:
        _check_text(item, 'domain', where)
    # A table that lacks some numbers keeps the others as floats.
    if not isinstance(item.get('label'), str | int | float | None):
        raise ValueError(f"{where}: 'label' must be a text, got {item['label']!r:.80}")
    for key, limit in DEGREES.items():
        value = item.get(key)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and math.isfinite(value) and abs(value) <= limit):
            raise ValueError(
                f'{where}: {key!r} must be a number within {limit} degrees of 0, got {value!r:.80}'
            )
    for key in ('geo_tags', 'audio_paths'):
        value = item.get(key)
        if value is not None and not (isinstance(value, list) and _are_texts(value)):
            raise ValueError(f'{where}: {key!r} must be a list of texts, got {value!r:.80}')


def _check_text(item: dict[str, Any], key: str, where: str) -> None:
    if not isinstance(item[key], str):
        raise ValueError(f'{where}: {key!r} must be a text, got {item[key]!r:.80}')


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _check_unique(seen: dict[str, int], ids: list[str], index: int, where: str, what: str) -> None:
    for one in ids:
        if one in seen:
            raise ValueError(f'{where}: {what} {one!r} is used twice, first by item {seen[one]}')
        seen[one] = index


def _read_json(path: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    content = read_json(path)
    if (
        not isinstance(content, dict)
        or not isinstance(content.get('metainfo'), dict)
        or not isinstance(content.get('data_list'), list)
    ):
        raise ValueError(f"{path} must be an object with 'metainfo' and 'data_list'")
    return content['metainfo'], content['data_list']


def _read_parquet(path: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
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
