"""Stores: vectors with attributes, searched under a filter, in memory, on disk or in a database."""

from urbancross_mm.inference.stores.base_store import BaseStore, StoreHit, StoreItem

__all__ = ['BaseStore', 'StoreHit', 'StoreItem']
