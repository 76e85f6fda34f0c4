"""What has to be done so that an index holds a source as it is now."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from urbancross_mm.inference.indexing.base_source import BaseSource
from urbancross_mm.inference.stores import BaseStore, StoreItem
from urbancross_mm.structures.filters import Compare, Filter, UnknownAttributeError
from urbancross_mm.utils.hashing import FileStamp
from urbancross_mm.utils.progress import track

# What the index adds to the attributes that a source knows.
MARKS = ('stamp', 'duplicate_of')
# The attribute that lists the names of those which came from a table.
FROM_TABLE = 'from_table'
_WINDOW = re.compile(r'#\d+,\d+,\d+,\d+$')

FileAttributes = Mapping[str, Mapping[str, Any]]


@dataclass
class Plan:
    """Positions in a source, by what has to be done; eight bytes an item.

    Attributes:
        new (array): To encode and add.
        changed (array): To encode again.
        relabeled (array): Only attributes or times have changed.
        vanished (list[str]): Ids that the source lacks, without those that cannot be read now.
        unchanged (int): How many items need nothing.
    """

    new: array = field(default_factory=lambda: array('q'))
    changed: array = field(default_factory=lambda: array('q'))
    relabeled: array = field(default_factory=lambda: array('q'))
    vanished: list[str] = field(default_factory=list)
    unchanged: int = 0

    @property
    def pending(self) -> list[int]:
        """list[int]: Positions to encode, ascending."""
        return sorted((*self.new, *self.changed))


def make_plan(
    source: BaseSource, store: BaseStore, extra: FileAttributes | None, progress: bool = True
) -> Plan:
    """Compare a source with what a store holds of it.

    Both are gone through by ascending id, so nothing of the store is kept in memory.

    Args:
        source (BaseSource): The source.
        store (BaseStore): The index.
        extra (Mapping, optional): Attributes by file, over those of the source; None keeps those
            of an earlier run.
        progress (bool): Show a progress bar. Defaults to True.

    Returns:
        Plan: What to do.

    Raises:
        ValueError: If the index has items of a source of this name and none is in the source, or
            they lie in another folder that is still there. A mistyped path must not empty an index.
    """
    plan, stored = Plan(), _of_one_origin(items_of(store, source.name), source)
    item = next(stored, None)
    order = sorted(range(len(source)), key=source.id_of)
    for position in track(order, f'compare {source.name}') if progress else order:
        item_id = source.id_of(position)
        while item is not None and item.id < item_id:
            _take_vanished(source, item.id, plan)
            item = next(stored, None)
        if item is None or item.id != item_id:
            plan.new.append(position)
            continue
        _compare(source, position, item, extra, plan)
        item = next(stored, None)
    while item is not None:
        _take_vanished(source, item.id, plan)
        item = next(stored, None)
    _refuse_other_source(source, plan)
    return plan


def items_of(store: BaseStore, source: str) -> Iterator[StoreItem]:
    """What a store holds of a source, by ascending id."""
    last = ''
    try:
        for item in store.items(Filter((Compare('source', '=', source),))) if store.width else ():
            if item.id <= last:
                raise RuntimeError(f'the store gives {item.id!r} after {last!r}')
            last = item.id
            yield item
    except UnknownAttributeError:
        return  # filled from Python, without sources


def attributes_of(
    source: BaseSource, position: int, extra: FileAttributes | None, known: Mapping[str, Any]
) -> dict[str, Any]:
    """Attributes of an item as they should be, without those of :data:`MARKS`.

    What a table said, of this run or an earlier one, goes before what the source says.
    """
    fresh = dict(source.attributes(position), source=source.name)
    if extra is None:
        names = known.get(FROM_TABLE, ())
        joined = {name: known[name] for name in names if name in known}
    else:
        joined = dict(extra.get(source.file_of(position), {}))
    return {**fresh, **joined, **({FROM_TABLE: sorted(joined)} if joined else {})}


def stamp_of(item: StoreItem) -> FileStamp | None:
    """Stamp of an item; None if it has none that can be read."""
    stamp = item.attributes.get('stamp')
    return FileStamp(*stamp) if isinstance(stamp, list | tuple) and len(stamp) == 4 else None


def _compare(
    source: BaseSource, position: int, item: StoreItem, extra: FileAttributes | None, plan: Plan
) -> None:
    stamp = stamp_of(item)
    renewed = stamp and source.renewed(position, stamp)
    if renewed is None:
        plan.changed.append(position)
        return
    wanted = attributes_of(source, position, extra, item.attributes)
    known = {key: value for key, value in item.attributes.items() if key not in MARKS}
    if renewed != stamp or wanted != known:
        plan.relabeled.append(position)
    else:
        plan.unchanged += 1


def _take_vanished(source: BaseSource, item_id: str, plan: Plan) -> None:
    name = item_id.removeprefix(f'{source.name}/')
    if any(part in ('', name) or name.startswith(f'{part}/') for part in source.missing):
        plan.unchanged += 1
    else:
        plan.vanished.append(item_id)


def _of_one_origin(stored: Iterator[StoreItem], source: BaseSource) -> Iterator[StoreItem]:
    """Refuse items of another folder of the same name; if that is gone, it has been moved."""
    fine = {'', source.origin}
    for item in stored:
        origin = _origin_of(item, source.name) if source.origin else ''
        if origin not in fine:
            if os.path.exists(origin) and not os.path.samefile(origin, source.origin):
                raise ValueError(
                    f'the source {source.name!r} of the index comes from {origin}, which is still '
                    f'there: give another name, as in other={source.path}, or remove the old one'
                )
            fine.add(origin)
        yield item


def _origin_of(item: StoreItem, source: str) -> str:
    """The folder, or the raster, that an item came from; '' if its path does not say it."""
    path, name = str(item.attributes.get('img_path', '')), item.id.removeprefix(f'{source}/')
    if _WINDOW.search(name):
        return path
    return path.removesuffix(f'/{name}') if path.endswith(f'/{name}') else ''


def _refuse_other_source(source: BaseSource, plan: Plan) -> None:
    if not plan.vanished or plan.unchanged or plan.changed or plan.relabeled:
        return
    files = set(source.files)
    # Windows of another size are other items of the same raster.
    names = (_WINDOW.sub('', name.partition('/')[2]) for name in plan.vanished)
    if not any(name in files for name in names):
        raise ValueError(
            f'the index has {len(plan.vanished)} items of a source called {source.name!r}, such '
            f'as {plan.vanished[0]}, and none of them is in {source.path}: give the source '
            f'another name, as in other={source.path}, or build another index'
        )
