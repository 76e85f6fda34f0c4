"""Stores: vectors with attributes, searched under a filter, in memory, on disk or in a database."""

from urbancross_mm.inference.stores.base_store import BaseStore, StoreHit, StoreItem
from urbancross_mm.inference.stores.copy_store import copy_store
from urbancross_mm.inference.stores.lance_store import LanceStore
from urbancross_mm.inference.stores.open_store import open_store
from urbancross_mm.inference.stores.postgres_store import PostgresStore
from urbancross_mm.inference.stores.torch_store import TorchStore

__all__ = [
    'BaseStore',
    'LanceStore',
    'PostgresStore',
    'StoreHit',
    'StoreItem',
    'TorchStore',
    'copy_store',
    'open_store',
]
