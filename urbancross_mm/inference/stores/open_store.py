"""Opening a store by its location."""

from __future__ import annotations

import re

from urbancross_mm.inference.stores.base_store import BaseStore
from urbancross_mm.inference.stores.lance_store import LanceStore
from urbancross_mm.inference.stores.lance_table import SUFFIX
from urbancross_mm.inference.stores.postgres_server import SCHEMES
from urbancross_mm.inference.stores.postgres_store import PostgresStore
from urbancross_mm.inference.stores.torch_store import TorchStore

# Not the letter of a drive.
_ONE_SLASH = re.compile(r'\w[\w+.-]+:/(?!/)')


def open_store(
    location: str,
    fingerprint: str | None = None,
    create: bool = False,
    read_only: bool = False,
) -> BaseStore:
    """Open a store.

    Args:
        location (str): ``postgresql://...`` (with ``?table=NAME``), a path that ends in ``.lance``
            or begins with ``s3://``, or any other folder.
        fingerprint (str | None): Weights and pipeline that the vectors must come from; a new store
            gets it. Defaults to None: any.
        create (bool): Whether to make the store if there is none. Defaults to False.
        read_only (bool): Whether to refuse writes. Defaults to False.

    Returns:
        BaseStore: The store; close it to let another process write.

    Raises:
        ValueError: If there is no store, it is damaged, of another version or another fingerprint.
        ConnectionError: If a server cannot be reached.
    """
    location = str(location)
    if not location:
        raise ValueError('the location of a store is a folder or a URI, got an empty string')
    if _ONE_SLASH.match(location):
        raise ValueError(
            f'{location.partition(":")[0]}: is followed by two slashes, as in postgresql://... or '
            's3://...; a folder of such a name is ./NAME'
        )
    if location.startswith(SCHEMES):
        return PostgresStore(location, fingerprint, create, read_only)
    if location.rstrip('/').endswith(SUFFIX) or location.startswith('s3://'):
        return LanceStore(location, fingerprint, create, read_only)
    scheme, found, _ = location.partition('://')
    if found:
        raise ValueError(
            f'no store is known for {scheme}://: give a folder, postgresql://... or s3://...'
        )
    return TorchStore(location, fingerprint, create, read_only)
