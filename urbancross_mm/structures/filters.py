"""Filters: which items a search may return, one language for Python, command line and API.

A filter is a list of conditions that must all hold. A condition is a string:

=====================================  ============================================================
``country=spain``                      equal; numbers compare as numbers
``country=spain|germany``              any of
``country!=spain``                     another value; an item without the value never passes
``gsd<=0.5``                           also ``<``, ``>``, ``>=``
``date=2020-01-01..2021-06``           from .. to, both included, one may be left out
``tags=harbor|river``                  any of the tags
``tags=harbor+river``                  all of the tags
``bbox=2.1,41.3,2.2,41.4``             west, south, east, north; west > east crosses 180 degrees
``near=24.94,60.17,500``               lon, lat and meters on the WGS 84 ellipsoid
``polygon=POLYGON((2 41, 3 41, ...))`` WKT or GeoJSON, holes and MULTIPOLYGON too; or ``@FILE``
=====================================  ============================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Compare:
    """``name op value``, op one of = != < <= > >=."""

    name: str
    op: str
    value: str | float | bool


@dataclass(frozen=True)
class AnyOf:
    """The value is one of these."""

    name: str
    values: tuple[str | float | bool, ...]


@dataclass(frozen=True)
class Tags:
    """The list attribute holds any, or all, of these."""

    name: str
    values: tuple[str, ...]
    all: bool


@dataclass(frozen=True)
class Box:
    """The center lies in the box; west > east crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True)
class Near:
    """The center lies within meters of a point, on the ellipsoid."""

    lon: float
    lat: float
    meters: float


@dataclass(frozen=True)
class Polygon:
    """The center lies in one of the polygons; each is an outer ring and its holes, lon and lat."""

    polygons: tuple[tuple[tuple[tuple[float, float], ...], ...], ...]


Condition = Compare | AnyOf | Tags | Box | Near | Polygon


@dataclass(frozen=True)
class Filter:
    """Conditions that must all hold."""

    conditions: tuple[Condition, ...]

    @classmethod
    def parse(cls, where: str | Sequence[str]) -> Filter:
        """Read condition strings; ValueError names the one that is wrong."""
        raise NotImplementedError

    def __str__(self) -> str:
        """Condition strings joined by newlines, which :meth:`parse` reads back."""
        raise NotImplementedError

    def matches(self, columns: Columns, rows: int) -> np.ndarray:
        """One bool per row; a row that lacks a value does not match."""
        raise NotImplementedError
