"""Indexes that are filled by several processes: one part each, put together at the end."""

from __future__ import annotations

import glob
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from mmengine.dist import barrier, get_rank, get_world_size

from urbancross_mm.inference.stores import BaseStore, StoreItem, open_store
from urbancross_mm.inference.stores.part_files import MANIFEST
from urbancross_mm.utils.files import file_lock

BATCH = 256


def has_many_writers(location: str) -> bool:
    """Whether several processes may write to a store at once."""
    return location.startswith(('postgresql://', 'postgres://'))


def shard_location(location: str, rank: int) -> str:
    """Folder of the part of one rank, beside the index; for an object store in this folder."""
    location = location.rstrip('/')
    if '://' in location:  # stores of one name in other places have other parts
        digest = hashlib.blake2b(location.encode(), digest_size=4).hexdigest()
        location = f'{location.rpartition("/")[2]}-{digest}'
    return f'{location}.shard-{rank}'


def open_main(location: str, fingerprint: str) -> BaseStore:
    """Open the index on every rank; the first one creates it and takes in what is left of a run.

    Until the first one closes it, no other run can write to it.

    Args:
        location (str): Of the index.
        fingerprint (str): Of the model.

    Returns:
        BaseStore: To be written by the first rank only, or by all of them in a database.

    Raises:
        ValueError: If another model filled it, it is no index, or another run writes to it.
    """
    if get_rank() == 0:
        store = _open_or_renew(location, fingerprint)
        try:
            store.delete([])  # a write, though of nothing: from here on, this process is the writer
            merge_shards(store, location, fingerprint)
        except BaseException:
            store.close()
            raise
    barrier()
    if get_rank() > 0:
        store = open_store(location, fingerprint, read_only=not has_many_writers(location))
    return store


def _open_or_renew(location: str, fingerprint: str) -> BaseStore:
    """Open an index, or make it; an empty one of another model in a folder is made again."""
    try:
        return open_store(location, fingerprint, create=True)
    except ValueError:
        if '://' in location:
            raise
        with open_store(location, read_only=True) as old:
            if len(old) or old.fingerprint == fingerprint:
                raise
    with file_lock(location):
        manifest = Path(location) / MANIFEST
        if manifest.exists():  # other files in a folder are none of our business
            manifest.unlink()
        else:
            shutil.rmtree(location)
    return open_store(location, fingerprint, create=True)


def merge_shards(store: BaseStore, location: str, fingerprint: str) -> None:
    """Move the items of all parts into the index. Killed on the way, the next call goes on.

    Args:
        store (BaseStore): The index.
        location (str): Where it lies.
        fingerprint (str): Of the model.

    Raises:
        ValueError: If another process writes to a part, or another model made it.
    """
    if has_many_writers(location):
        return
    for path in sorted(glob.glob(f'{glob.escape(shard_location(location, 0)[:-1])}[0-9]*')):
        with file_lock(path):
            manifest = Path(path) / MANIFEST
            # Without it, the part was not made to its end, or not deleted to its end.
            if manifest.exists():
                _move(path, store, fingerprint)
                manifest.unlink()
            shutil.rmtree(path)


def _move(path: str, store: BaseStore, fingerprint: str) -> None:
    """Add or update the items of one part."""
    with open_store(path, fingerprint, read_only=True) as shard:
        known = _common_ids(store, shard)
        for items in _batches(shard.items(embeds=True)):
            new = [item for item in items if item.id not in known]
            again = [item for item in items if item.id in known]
            if new:
                store.add(new)
            if again:
                store.update(again)


def target_of(store: BaseStore, location: str, fingerprint: str) -> BaseStore:
    """What this rank writes to: the index itself, or its own part."""
    if get_world_size() == 1 or has_many_writers(location):
        return store
    return open_store(shard_location(location, get_rank()), fingerprint, create=True)


def _batches(items: Iterator[StoreItem]) -> Iterator[list[StoreItem]]:
    batch: list[StoreItem] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _common_ids(store: BaseStore, shard: BaseStore) -> set[str]:
    """Ids that both have, which are few: both are gone through by ascending id."""
    common: set[str] = set()
    mine = (item.id for item in store.items())
    current = next(mine, None)
    for item in shard.items():
        while current is not None and current < item.id:
            current = next(mine, None)
        if current == item.id:
            common.add(item.id)
    return common
