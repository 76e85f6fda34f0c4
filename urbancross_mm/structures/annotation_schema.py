"""The annotation schema: the fields of an item, how one is made, and the one check of them.

:mod:`urbancross_mm.structures.annotations` reads and writes the files. Readers, writers and the
verifier all use the table :data:`FIELDS`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urbancross_mm.utils.ids import IdRegister
from urbancross_mm.utils.paths import check_relative

SCHEMA = 1
# What the metainfo says of the whole file, besides the classes; its other keys tell where the
# data comes from.
META_KEYS = ('dataset', 'domain', 'split')
# Fields that are paths, and the folder below the data root that each is joined to.
FOLDERS = dict(img_path='images', segments='segments', seg_map_path='seg_maps', audio_paths='audio')

Item = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """One field of an item.

    Attributes:
        must_be (str): What a value must be, for messages.
        accepts (Callable): Whether a value is that.
        required (bool): Whether an item may lack the field, or hold None. Defaults to False.
    """

    must_be: str
    accepts: Callable[[Any], bool]
    required: bool = False


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ''


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(element, str) for element in value)


def _are_ids(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(element, str | int) for element in value)


def _within(limit: float) -> Callable[[Any], bool]:
    def accepts(value: Any) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value) and abs(value) <= limit

    return accepts


# Other fields, such as the 'bounds' and 'score' of a curation, are kept as they are.
FIELDS = {
    'img_id': Field('a non-empty string', _is_name, required=True),
    'img_path': Field('a non-empty string', _is_name, required=True),
    # Whether there must be captions depends on the split; see _check_captions.
    'captions': Field('a list of strings', lambda value: isinstance(value, list)),
    'caption_ids': Field('a list of strings or numbers', _are_ids),
    'domain': Field('a string', _is_string),
    # A table that lacks some numbers keeps the others as floats.
    'label': Field('a string or a number', lambda value: isinstance(value, str | int | float)),
    'lon': Field('a number within 180 degrees of 0', _within(180)),
    'lat': Field('a number within 90 degrees of 0', _within(90)),
    'geo_tags': Field('a list of strings', _are_strings),
    'segments': Field('a string', _is_string),
    'seg_map_path': Field('a string', _is_string),
    'audio_paths': Field('a list of strings', _are_strings),
}


def make_item(
    dataset: str, domain: str, img_path: str, captions: Sequence[str], **fields: Any
) -> Item:
    """Make one item.

    Args:
        dataset (str): Name of the dataset.
        domain (str): Name of the domain.
        img_path (str): Relative path of the image.
        captions (Sequence[str]): As in the source; empty ones are dropped, and leave a gap in the
            numbers of ``caption_ids``.
        **fields: Optional fields (``label``, ``lon``, ``segments``, ...); None is left out.

    Returns:
        dict: The item. ``captions`` is empty if no caption has a word.
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
        items (Iterable[dict]): Items.
        **more: Further counts to put beside them.

    Returns:
        dict[str, int]: The counts.
    """
    items = list(items)
    captions = [caption for item in items for caption in item['captions']]
    return dict(
        images=len(items), captions=len(captions), distinct_captions=len(set(captions)), **more
    )


def check_items(items: Iterable[Any], path: str, captions_required: bool = True) -> None:
    """Check the items of an annotation file.

    Args:
        items (Iterable[dict]): The items.
        path (str): The file, for the message.
        captions_required (bool): Whether an image without captions is an error. Defaults to True.

    Raises:
        ValueError: At the first item with a missing field or one of another type, an empty
            caption, an id that was used before, or a file name that leaves its folder.
    """
    for _, problem in item_problems(items, path, captions_required):
        raise ValueError(problem)


def item_problems(
    items: Iterable[Any], path: str, captions_required: bool = True
) -> Iterator[tuple[int, str]]:
    """Find every wrong item of an annotation file.

    Args:
        items (Iterable[dict]): The items.
        path (str): The file, for the messages.
        captions_required (bool): Whether an image without captions is wrong. Defaults to True.

    Returns:
        Iterator[tuple[int, str]]: Index of an item and the first thing that is wrong with it.
    """
    images: IdRegister[int] = IdRegister()
    captions: IdRegister[int] = IdRegister()
    for index, item in enumerate(items):
        where = f'{path}, item {index}'
        try:
            _check_item(item, where, captions_required)
            _check_unused(images, [item['img_id']], index, f'{where}: img_id')
            _check_unused(captions, item.get('caption_ids') or [], index, f'{where}: caption id')
        except ValueError as error:
            yield index, str(error)


def check_distinct_ids(items: Iterable[Item], where: str | Path) -> None:
    """Refuse two images with one id, whatever splits they are in.

    An id is the path without its suffix, so ``a.jpg`` and ``a.png`` of one folder would share it.

    Args:
        items (Iterable[dict]): Items of all splits; an image may be in several.
        where (str | Path): What they come from, for the message.

    Raises:
        ValueError: Naming both images.
    """
    register: IdRegister[str] = IdRegister(operator.eq)
    for item in items:
        first = register.clash(item['img_id'], item['img_path'])
        if first is not None:
            raise ValueError(
                f'{where}: {first} and {item["img_path"]} would both have the id '
                f'{item["img_id"]!r}: rename one of them or move it to another folder'
            )


def _check_item(item: Any, where: str, captions_required: bool) -> None:
    if not isinstance(item, dict):
        raise ValueError(f'{where}: expected an object, got {type(item).__name__}')
    for key, field in FIELDS.items():
        value = item.get(key)
        if value is None and not field.required:
            continue
        if not field.accepts(value):
            raise ValueError(f'{where}: {key!r} must be {field.must_be}, got {value!r:.80}')
        if key in FOLDERS:
            for name in map(str, value if isinstance(value, list) else [value]):
                # A caption without a recording, among others with one, has an empty name.
                if name or key != 'audio_paths':
                    check_relative(name, where)
    if captions_required or item.get('captions'):
        _check_captions(item, f'{where} ({item["img_id"]})')
    _check_audio(item, f'{where} ({item["img_id"]})')


def _check_captions(item: Item, where: str) -> None:
    """There is a caption, each has a word, and each has its id."""
    captions, ids = item.get('captions'), item.get('caption_ids')
    if not captions:
        raise ValueError(f"{where}: 'captions' must be a non-empty list, got {captions!r}")
    for number, caption in enumerate(captions):
        if not isinstance(caption, str) or not caption.strip():
            raise ValueError(f'{where}: caption {number} is empty or not a string: {caption!r:.80}')
    if ids is not None and len(ids) != len(captions):
        raise ValueError(f'{where}: {len(captions)} captions but caption_ids is {ids!r:.80}')


def _check_audio(item: Item, where: str) -> None:
    """There is no recording, one for all captions, or one a caption."""
    count, captions = len(item.get('audio_paths') or ()), len(item.get('captions') or ())
    if count > 1 and count != captions:
        raise ValueError(
            f"{where}: 'audio_paths' must name no recording, one for all captions or one a "
            f'caption, got {count} for {captions} captions'
        )


def _check_unused(register: IdRegister[int], ids: list[Any], index: int, what: str) -> None:
    for key in ids:
        first = register.clash(key, index)
        if first is not None:
            raise ValueError(f'{what} {key!r} is used twice, first by item {first}')
