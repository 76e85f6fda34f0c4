"""Writing the one annotation format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from urbancross_mm.structures.annotations import SCHEMA, check_items
from urbancross_mm.utils.files import check_outputs
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


def make_item(
    dataset: str, domain: str, img_path: str, captions: Sequence[str], **fields: Any
) -> Item:
    """Make one record of the format.

    Args:
        dataset (str): Name of the dataset.
        domain (str): Name of the domain.
        img_path (str): Relative path of the image.
        captions (Sequence[str]): As in the source; empty ones are dropped, and leave a gap in the
            numbers of ``caption_ids``.
        **fields: Optional fields (``label``, ``lon``, ``segments``, ...); None is left out.

    Returns:
        dict: The record. ``captions`` is empty if no caption has a word.
    """
    img_id = f'{dataset}/{Path(img_path).with_suffix("").as_posix()}'
    kept = [(number, text.strip()) for number, text in enumerate(captions) if text.strip()]
    item = dict(
        img_id=img_id,
        img_path=img_path,
        captions=[text for _, text in kept],
        caption_ids=[f'{img_id}#{number}' for number, _ in kept],
        domain=domain,
    )
    item.update({key: value for key, value in fields.items() if value is not None})
    return item


def counts_of(items: Iterable[Item], **more: int) -> dict[str, int]:
    """Count images, captions and distinct captions.

    Args:
        items (Iterable[dict]): Records.
        **more: Further counts to put beside them.

    Returns:
        dict[str, int]: The counts.
    """
    items = list(items)
    texts = [text for item in items for text in item['captions']]
    return dict(images=len(items), captions=len(texts), distinct_captions=len(set(texts)), **more)


def check_distinct_ids(items: Iterable[Item], where: str | Path) -> None:
    """Refuse two images with one id, whatever splits they are in.

    An id is the path without its suffix, so ``a.jpg`` and ``a.png`` of one folder would share it.

    Args:
        items (Iterable[dict]): Records of all splits; an image may be in several.
        where (str | Path): What they come from, for the message.

    Raises:
        ValueError: Naming both images.
    """
    paths: dict[str, str] = {}
    for item in items:
        first = paths.setdefault(item['img_id'], item['img_path'])
        if first != item['img_path']:
            raise ValueError(
                f'{where}: {first} and {item["img_path"]} would both have the id '
                f'{item["img_id"]!r}: rename one of them or move it to another folder'
            )


def encode_annotations(
    path: str | Path, items: list[Item], metainfo: Mapping[str, Any], captions_required: bool = True
) -> bytes:
    """Content of one annotation file.

    Args:
        path (str | Path): What it will be, ``.json`` or ``.parquet``.
        items (list[dict]): Records of :func:`make_item`.
        metainfo (Mapping): ``dataset, domain, split, generator, seed, sources, counts``.
        captions_required (bool): Whether an image without captions is an error. Defaults to True.

    Returns:
        bytes: The content.

    Raises:
        ValueError: If a record is wrong, or there is none.
    """
    if not items:
        raise ValueError(f'{path} would have no image')
    check_items(items, str(path), captions_required)
    generator = f'{metainfo.get("generator", "")} {__version__}'.strip()
    metainfo = dict(schema=SCHEMA, **{**metainfo, 'generator': generator})
    if Path(path).suffix == '.parquet':
        return _encode_parquet(items, metainfo)
    content = dict(metainfo=metainfo, data_list=items)
    try:
        text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
        return f'{text}\n'.encode()
    except ValueError as error:
        raise ValueError(f'{path} would not be valid JSON: {error}') from error


def refuse_overwrite(paths: Iterable[str | Path], force: bool) -> None:
    """Stop before any work if an output is already there, or cannot be.

    Args:
        paths (Iterable): Outputs.
        force (bool): Go on over files that exist.

    Raises:
        FileExistsError: Naming the first output that exists.
        OSError: If a folder has the name of an output, or a file that of a folder above it.
    """
    paths = list(paths)
    check_outputs(paths)
    for path in paths:
        if Path(path).exists() and not force:
            raise FileExistsError(f'{path} exists already: give --force to overwrite it')


def _encode_parquet(items: list[Item], metainfo: Mapping[str, Any]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    keys = list(dict.fromkeys(key for item in items for key in item))
    table = pyarrow.table({key: [item.get(key) for item in items] for key in keys})
    table = table.replace_schema_metadata({b'metainfo': json.dumps(metainfo).encode()})
    buffer = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue().to_pybytes()
