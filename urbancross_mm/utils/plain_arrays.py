"""Arrays and scalars of NumPy out of a checkpoint, checked before NumPy sees them.

NumPy takes a pickled type or array as it comes, and reads memory that is not its own where the
pickle is damaged.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

# Booleans, numbers, bytes and texts; nothing that holds Python objects.
_KNOWN = re.compile(r'b1|[iu][1248]|f[248]|c8|c16|[SU][1-9]\d{0,8}')


class PlainType:
    """Stands for ``numpy.dtype``.

    Args:
        name (str): Such as ``f8``; the order of bytes comes with the state.
        *options: Not used.

    Raises:
        ValueError: If it is no type of plain data.
    """

    def __init__(self, name: Any = '', *options: Any) -> None:
        if not isinstance(name, str) or not _KNOWN.fullmatch(name):
            raise ValueError(f'an array of the type {name!r:.40}')
        self.dtype = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ('<', '>', '|', '='):
            raise ValueError(f'an array of the byte order {order!r:.40}')
        self.dtype = self.dtype.newbyteorder(order)


class PlainArray(np.ndarray):
    """Stands for ``numpy.ndarray``: empty, whatever it is called with, until it is filled."""

    def __new__(cls, *args: Any) -> PlainArray:
        return np.ndarray.__new__(cls, 0)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, content = state
        _check(shape, kind, content)
        super().__setstate__((1, shape, kind.dtype, bool(fortran), content))

    def __reduce__(self) -> Any:
        return self.view(np.ndarray).__reduce__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.view(np.ndarray).__reduce_ex__(protocol)


def plain_scalar(kind: Any, content: Any) -> Any:
    """Stands for ``numpy.core.multiarray.scalar``.

    Args:
        kind (PlainType): Its type.
        content (bytes): Its bytes.

    Returns:
        Any: A scalar of NumPy.

    Raises:
        ValueError: If they do not fit.
    """
    _check((), kind, content)
    return np.frombuffer(content, kind.dtype)[0]


def _check(shape: Any, kind: Any, content: Any) -> None:
    fits = (
        isinstance(kind, PlainType)
        and isinstance(content, bytes)
        and isinstance(shape, tuple)
        and all(isinstance(size, int) and size >= 0 for size in shape)
        and math.prod(shape) * kind.dtype.itemsize == len(content)
    )
    if not fits:
        raise ValueError(f'an array of the shape {shape!r:.40} whose content does not fit')
