"""What a checkpoint may hold beside tensors: plain data, by name."""

from __future__ import annotations

import argparse
import datetime
import pathlib
import types
from typing import Any

# numpy moved its core, and Python its paths: older and newer files name the same things otherwise.
_NUMPY_CORES = ('numpy._core', 'numpy.core')
_NUMBERS = ('bool', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64',
            'float16', 'float32', 'float64', 'complex64', 'complex128', 'S1', 'U1')
_AS_DICT = ('mmengine.config.config.ConfigDict', 'mmcv.utils.config.ConfigDict',
            'pytorch_lightning.utilities.parsing.AttributeDict',
            'lightning_fabric.utilities.data.AttributeDict',
            'lightning.fabric.utilities.data.AttributeDict', 'builtins.dict')


def plain_classes() -> list[Any]:
    """The allow-list for torch's safe loader, which takes tensors and containers by itself.

    Returns:
        list: Classes, and pairs of what is called and the name that a file calls it by.
    """
    from mmengine.logging import HistoryBuffer

    return [
        HistoryBuffer, argparse.Namespace, types.SimpleNamespace,
        datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone,
        int, float, str, list, tuple, frozenset, range, slice,
        *((dict, name) for name in _AS_DICT),
        (_default_dict, 'collections.defaultdict'), (_deque, 'collections.deque'),
        (str, 'torch.torch_version.TorchVersion'), *_paths(), *_numpy(),
        # HistoryBuffer's methods are pickled through getattr; this one gives nothing else.
        (_history_method, 'builtins.getattr'),
    ]


def _paths() -> list[Any]:
    """Paths, also those of another system, which cannot be built here as they were."""
    pure = dict(PosixPath=pathlib.PurePosixPath, WindowsPath=pathlib.PureWindowsPath)
    here = type(pathlib.Path()).__name__
    found: list[Any] = []
    for module in ('pathlib', 'pathlib._local'):
        found += [(pathlib.Path if name == here else path, f'{module}.{name}')
                  for name, path in pure.items()]
        found += [(path, f'{module}.Pure{name}') for name, path in pure.items()]
    return found


def _numpy() -> list[Any]:
    """Arrays and scalars of numbers and texts; none of Python objects."""
    import numpy as np

    dtypes = dict.fromkeys(type(np.dtype(name)) for name in _NUMBERS)
    scalars = dict.fromkeys(np.dtype(name).type for name in _NUMBERS)
    found: list[Any] = [np.ndarray, np.dtype, *dtypes, *scalars]
    for core in _NUMPY_CORES:
        found += [(np._core.multiarray._reconstruct, f'{core}.multiarray._reconstruct'),
                  (np._core.multiarray.scalar, f'{core}.multiarray.scalar')]
    return found


def _default_dict(*factory: Any) -> dict[Any, Any]:
    """A defaultdict comes back as a dict: torch fills no other."""
    return {}


def _deque(items: Any = (), maxlen: int | None = None) -> list[Any]:
    """A deque comes back as a list, for the same reason."""
    return list(items)


def _history_method(owner: Any, name: str) -> Any:
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name.startswith('_'):
        raise ValueError('GLOBAL getattr')  # as torch calls what it refuses
    return getattr(owner, name)
