"""A trained checkpoint as a file for others."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from urbancross_mm.utils.checkpoints import read_checkpoint, weights_of
from urbancross_mm.utils.files import atomic_write
from urbancross_mm.utils.state_dicts import merge_lora
from urbancross_mm.version import __version__

# Of a run: what a reader may want to know. Its config and paths stay at home.
META = ('epoch', 'iter', 'time', 'experiment_name', 'mmengine_version', 'dataset_meta')
# Of an adaptation's losses, without which a model embeds the same.
LEFT_OUT = ('adaptation.',)
HASH_LENGTH = 8


def publish(checkpoint: str | Path, out: str | Path) -> Path:
    """Write the weights of a checkpoint, and what inference needs besides.

    The optimizer, the schedulers, the message hub and the config of the run are left out. LoRA is
    merged. The file loads with ``torch.load(weights_only=True)`` anywhere. The same weights give
    the same file.

    Args:
        checkpoint (str | Path): File of a training.
        out (str | Path): ``NAME.pth``; the file is called ``NAME-<hash>.pth``.

    Returns:
        Path: The file.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it cannot be read safely, or ``out`` has another suffix.
    """
    out = Path(out)
    if out.suffix != '.pth':
        raise ValueError(f'a published checkpoint is a .pth file, got {out}')
    content = read_checkpoint(checkpoint)
    weights = {
        name: _own(value)
        for name, value in weights_of(content, checkpoint).items()
        if not name.startswith(LEFT_OUT)
    }
    merge_lora(weights)
    meta = content.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    kept = {key: _plain(meta[key]) for key in META if key in meta}
    buffer = io.BytesIO()
    torch.save(dict(meta=dict(kept, urbancross_mm=__version__), state_dict=weights), buffer)
    data = buffer.getvalue()
    torch.load(io.BytesIO(data), weights_only=True)  # as a reader without this package does
    path = out.with_name(f'{out.stem}-{hashlib.sha256(data).hexdigest()[:HASH_LENGTH]}.pth')
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, data)
    return path


def _own(value: Any) -> Any:
    """A view would bring all of the tensor that it is a part of."""
    return value.detach().clone().contiguous() if isinstance(value, Tensor) else _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part) for part in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value if isinstance(value, bool | int | float | str | type(None)) else str(value)
