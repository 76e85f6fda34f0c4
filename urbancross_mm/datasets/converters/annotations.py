"""Writing the one annotation format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from urbancross_mm.datasets.annotation_file import SCHEMA, check_items
from urbancross_mm.utils.files import atomic_write
from urbancross_mm.version import __version__

Item = dict[str, Any]


def hash_file(path: str | Path) -> str:
    """Hash a source file.

    Args:
        path (str | Path): The file.

    Returns:
        str: ``sha256:<hex>``.
    """
    with open(path, 'rb') as file:
        return 'sha256:' + hashlib.file_digest(file, 'sha256').hexdigest()


def read_lines(path: str | Path) -> list[str]:
    """Read the lines of a text file, white space at both ends removed.

    Only line feeds separate records: captions may hold characters at which Python's
    ``splitlines`` would cut.

    Args:
        path (str | Path): A UTF-8 file.

    Returns:
        list[str]: The lines, empty ones included, but for the end of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not UTF-8.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no file {path}')
    try:
        text = Path(path).read_bytes().decode('utf-8')
    except UnicodeDecodeError as error:
        line = Path(path).read_bytes()[:error.start].count(b'\n') + 1
        raise ValueError(f'{path}, line {line}: not UTF-8 ({error.reason})') from error
    lines = [line.strip() for line in text.split('\n')]
    return lines[:-1] if lines and not lines[-1] else lines


def make_item(dataset: str, domain: str, img_path: str, captions: Sequence[str],
              **fields: Any) -> Item:
    """Make one record of the format.

    Args:
        dataset (str): Name of the data set.
        domain (str): Name of the domain.
        img_path (str): Relative path of the picture.
        captions (Sequence[str]): As in the source; empty ones are dropped, and leave a gap in the
            numbers of ``caption_ids``.
        **fields: Optional fields (``label``, ``lon``, ``segments``, ...); None is left out.

    Returns:
        dict: The record. ``captions`` is empty if no caption has a word.
    """
    img_id = f'{dataset}/{Path(img_path).with_suffix("").as_posix()}'
    kept = [(number, text.strip()) for number, text in enumerate(captions) if text.strip()]
    item = dict(img_id=img_id, img_path=img_path, captions=[text for _, text in kept],
                caption_ids=[f'{img_id}#{number}' for number, _ in kept], domain=domain)
    item.update({key: value for key, value in fields.items() if value is not None})
    return item


def counts_of(items: Iterable[Item], **more: int) -> dict[str, int]:
    """Count pictures, captions and distinct captions.

    Args:
        items (Iterable[dict]): Records.
        **more: Further counts to put beside them.

    Returns:
        dict[str, int]: The counts.
    """
    items = list(items)
    texts = [text for item in items for text in item['captions']]
    return dict(images=len(items), captions=len(texts), distinct_captions=len(set(texts)), **more)


def write_annotations(path: str | Path, items: list[Item], metainfo: Mapping[str, Any],
                      force: bool = False, captions_required: bool = True) -> None:
    """Write one annotation file, whole or not at all.

    Args:
        path (str | Path): ``.json`` or ``.parquet``.
        items (list[dict]): Records of :func:`make_item`.
        metainfo (Mapping): ``dataset, domain, split, generator, seed, sources, counts``.
        force (bool): Overwrite. Defaults to False.
        captions_required (bool): Whether a picture without captions is an error. Defaults to True.

    Raises:
        FileExistsError: If the file exists and ``force`` is off.
        ValueError: If a record is wrong, or there is none.
    """
    path = Path(path)
    refuse_overwrite([path], force)
    if not items:
        raise ValueError(f'{path} would have no picture')
    check_items(items, str(path), captions_required)
    generator = f'{metainfo.get("generator", "")} {__version__}'.strip()
    metainfo = dict(schema=SCHEMA, **{**metainfo, 'generator': generator})
    if path.suffix == '.parquet':
        _write_parquet(path, items, metainfo)
    else:
        content = dict(metainfo=metainfo, data_list=items)
        atomic_write(path, json.dumps(content, ensure_ascii=False, indent=1) + '\n')


def refuse_overwrite(paths: Iterable[str | Path], force: bool) -> None:
    """Stop before any work if an output is already there.

    Args:
        paths (Iterable): Outputs.
        force (bool): Go on all the same.

    Raises:
        FileExistsError: Naming the first output that exists.
    """
    for path in paths:
        if Path(path).exists() and not force:
            raise FileExistsError(f'{path} exists already: give --force to overwrite it')


def _write_parquet(path: Path, items: list[Item], metainfo: Mapping[str, Any]) -> None:
    import pyarrow
    import pyarrow.parquet

    keys = list(dict.fromkeys(key for item in items for key in item))
    table = pyarrow.table({key: [item.get(key) for item in items] for key in keys})
    table = table.replace_schema_metadata({b'metainfo': json.dumps(metainfo).encode()})
    buffer = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, buffer)
    atomic_write(path, buffer.getvalue().to_pybytes())
