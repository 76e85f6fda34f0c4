"""Reading and comparing checkpoints."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def compare_state_dicts(expected: Mapping[str, Any], found: Mapping[str, Any]
                        ) -> tuple[list[str], list[str], int]:
    """Compare the names and shapes of two state dicts.

    Args:
        expected (Mapping): The model's own.
        found (Mapping): A checkpoint's.

    Returns:
        tuple[list[str], list[str], int]: Missing names, names of another shape, and how many fit.
    """
    missing = [name for name in expected if name not in found]
    mismatched = [
        name for name, value in expected.items()
        if name in found and getattr(found[name], 'shape', None) != value.shape
    ]
    return missing, mismatched, len(expected) - len(missing) - len(mismatched)


def refuse_other_model(model: Any, found: Mapping[str, Any], path: str | Path,
                       partial: bool = False) -> None:
    """Stop before a checkpoint of another model loads little or nothing.

    Args:
        model (nn.Module): Its attribute ``optional_prefixes`` names weights that it can do without
            (a segment tower is filled from the image tower).
        found (Mapping): The checkpoint's state dict.
        path (str | Path): For the message.
        partial (bool): A fine-tune: half of the weights are enough, as long as none has another
            shape. Defaults to False.

    Raises:
        ValueError: If the checkpoint does not fit.
    """
    expected = model.state_dict()
    missing, mismatched, matched = compare_state_dicts(expected, found)
    optional = tuple(getattr(model, 'optional_prefixes', ()))
    needed = [name for name in missing if not (optional and name.startswith(optional))]
    if not mismatched and (not needed or (partial and 2 * matched >= len(expected))):
        return
    raise ValueError(
        f'the checkpoint {path} is of another model: of the {len(expected)} weights of '
        f'{type(model).__name__}, {matched} fit, {len(missing)} are missing and '
        f'{len(mismatched)} have another shape ({", ".join((mismatched + needed)[:3])})')


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU without running code that it may carry.

    mmengine's checkpoints hold a message hub beside the weights, which torch's safe loader only
    takes if its few classes are allowed by name.

    Args:
        path (str | Path): A ``.pth`` file.

    Returns:
        dict: The checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is torn, not a checkpoint, or holds anything but plain data.
    """
    import torch

    if not Path(path).is_file():
        raise FileNotFoundError(f'no checkpoint at {path}')
    try:
        with torch.serialization.safe_globals(_safe_classes()):
            return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, KeyError ...
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ValueError(f'cannot read the checkpoint {path}: {reason[:300]}') from error


def check_checkpoint(path: str | Path) -> None:
    """Stop before a model is built for a torn file or one that is no checkpoint.

    Args:
        path (str | Path): A ``.pth`` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read.
    """
    # The directory of a zip stands at its end, so a torn one has none. Older formats are read.
    if not zipfile.is_zipfile(path):
        read_checkpoint(path)


def _safe_classes() -> list[Any]:
    """What mmengine's own checkpoints hold beside tensors: plain data, no code."""
    import collections

    import numpy as np
    from mmengine.logging import HistoryBuffer

    dtypes = [type(np.dtype(name)) for name in ('float64', 'float32', 'int64', 'int32', 'bool')]
    return [
        HistoryBuffer, collections.deque, np._core.multiarray._reconstruct,
        np._core.multiarray.scalar, np.ndarray, np.dtype, *dtypes, np.float64, np.int64,
        # HistoryBuffer's methods are pickled through getattr; this one gives nothing else.
        (_history_method, 'builtins.getattr'),
    ]


def _history_method(owner: Any, name: str) -> Any:
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name.startswith('_'):
        raise ValueError(f'a checkpoint may not ask for {name!r} of {owner!r:.80}')
    return getattr(owner, name)
