"""What a checkpoint may hold beside tensors: plain data, by name."""

from __future__ import annotations

import argparse
import datetime
import math
import pathlib
import re
import types
from typing import Any

import numpy as np

# numpy moved its core, and Python its paths: older and newer files name the same things otherwise.
_NUMPY_CORES = ('numpy._core', 'numpy.core')
_PATH_MODULES = ('pathlib', 'pathlib._local')
# A pickle of a few bytes may ask for a copy again and again.
MOST_ITEMS = 1000
# Booleans, numbers, bytes and texts; nothing that holds Python objects.
_ARRAY_TYPES = re.compile(r'b1|[iu][1248]|f[248]|c8|c16|[SU][1-9]\d{0,8}')
_AS_DICT = (
    'builtins.dict',
    'mmengine.config.config.ConfigDict',
    'mmcv.utils.config.ConfigDict',
    'pytorch_lightning.utilities.parsing.AttributeDict',
    'lightning_fabric.utilities.data.AttributeDict',
    'lightning.fabric.utilities.data.AttributeDict',
)


def plain_classes() -> list[Any]:
    """The allow-list for torch's safe loader, which takes tensors and containers by itself.

    A file may call what stands here with any arguments. Nothing here makes much of little, as
    ``list(range(10**9))`` would: such classes have stand-ins.

    Returns:
        list: Classes, and pairs of what is called and the name that a file calls it by.
    """
    from mmengine.logging import HistoryBuffer

    return [
        argparse.Namespace,
        types.SimpleNamespace,
        datetime.datetime,
        datetime.date,
        datetime.time,
        datetime.timedelta,
        datetime.timezone,
        int,
        float,
        slice,
        (_FrozenSet, 'builtins.frozenset'),
        *((_Dict, name) for name in _AS_DICT),
        (_DefaultDict, 'collections.defaultdict'),
        (_List, 'collections.deque'),
        (_List, 'builtins.list'),
        (_Text, 'torch.torch_version.TorchVersion'),
        (_Text, 'builtins.str'),
        (_NoBytes, 'builtins.bytes'),
        *_paths(),
        *_numpy(),
        (_History, 'mmengine.logging.history_buffer.HistoryBuffer'),
        # A buffer's methods are pickled through getattr; this one gives nothing else.
        (_history_method, 'builtins.getattr'),
        _filled(HistoryBuffer),
    ]


def _filled(kind: type) -> tuple[type, str]:
    """Objects of this class may be filled, and no file can name it: names end at a new line."""
    return kind, f'{kind.__name__}\n'


def _paths() -> list[Any]:
    """Paths, also those of another system, which cannot be built here as they were."""
    here = type(pathlib.Path()).__name__
    classes: list[Any] = []
    for name, pure in (
        ('PosixPath', pathlib.PurePosixPath),
        ('WindowsPath', pathlib.PureWindowsPath),
    ):
        for module in _PATH_MODULES:
            classes += [
                (pathlib.Path if name == here else pure, f'{module}.{name}'),
                (pure, f'{module}.Pure{name}'),
            ]
    return classes


def _numpy() -> list[Any]:
    """Arrays and scalars of numbers and texts; none of Python objects."""
    classes: list[Any] = [(PlainArray, 'numpy.ndarray'), (PlainType, 'numpy.dtype')]
    for core in _NUMPY_CORES:
        classes += [
            (PlainArray, f'{core}.multiarray._reconstruct'),
            (plain_scalar, f'{core}.multiarray.scalar'),
        ]
    return classes


class _DefaultDict:
    """A defaultdict comes back as a dict: torch fills no other."""

    def __new__(cls, *factory: Any) -> Any:
        return {}


class _Dict:
    """Itself: a pickle may ask for many copies of one large dict."""

    def __new__(cls, items: Any = (), **more: Any) -> Any:
        return items if isinstance(items, dict) and not more else {**dict(_few(items)), **more}


class _List:
    """A deque comes back as a list, and a list as itself."""

    def __new__(cls, items: Any = (), *maxlen: Any) -> Any:
        return items if isinstance(items, list) else list(_few(items))


class _FrozenSet:
    """A set is a copy, so only a small one is made."""

    def __new__(cls, items: Any = ()) -> Any:
        return frozenset(_few(items))


def _few(items: Any) -> Any:
    if not isinstance(items, list | tuple | dict) or len(items) > MOST_ITEMS:
        raise ValueError(f'a copy of more than {MOST_ITEMS} items')
    return items


class _Text:
    """A kind of str."""

    def __new__(cls, text: Any = '') -> Any:
        return text if isinstance(text, str) else ''


class _NoBytes:
    """Empty bytes are pickled as a call; others as a text."""

    def __new__(cls, *args: Any) -> Any:
        return b''


class _History:
    """A buffer, to be filled."""

    def __new__(cls, *args: Any) -> Any:
        from mmengine.logging import HistoryBuffer

        return HistoryBuffer.__new__(HistoryBuffer)


def _history_method(owner: Any, name: Any) -> Any:
    from mmengine.logging import HistoryBuffer

    if owner is not _History or str(name).startswith('_'):
        raise ValueError('GLOBAL getattr')  # as torch calls what it refuses
    return getattr(HistoryBuffer, name)


class PlainType:
    """Stands for ``numpy.dtype``.

    Args:
        name (str): Such as ``f8``; the order of bytes comes with the state.
        *options: Not used.

    Raises:
        ValueError: If it is no type of plain data.
    """

    def __init__(self, name: Any = '', *options: Any) -> None:
        if not isinstance(name, str) or not _ARRAY_TYPES.fullmatch(name):
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
        checked: Any = (1, shape, kind.dtype, bool(fortran), content)
        super().__setstate__(checked)

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
