"""Which checkpoint a user means, and the model config that it fills."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from urbancross_mm.engine import find_resumable
from urbancross_mm.utils.cli import is_setting

# Settings that name where weights come from before a training.
_SOURCES = ('init_cfg', 'source_checkpoint')


def for_checkpoint(model: Any) -> Any:
    """A model's config, to be filled from a checkpoint: pretrained weights are left out.

    A trained model must not need the source that it once started from.

    Args:
        model (Any): ``cfg.model``, or any part of it.

    Returns:
        Any: The same without ``pretrained``, ``init_cfg`` and ``source_checkpoint``, at any depth.
    """
    if isinstance(model, list | tuple):
        return type(model)(for_checkpoint(part) for part in model)
    if not isinstance(model, dict):
        return model
    model = {key: for_checkpoint(part) for key, part in model.items() if key not in _SOURCES}
    kind = str(model.get('type', '')).rpartition('.')[2]
    if kind.startswith('OpenCLIP') and 'model_name' in model and 'Tokenizer' not in kind:
        from urbancross_mm.models.encoders.clip_factory import without_weights

        return without_weights(model)
    return model


def resolve_checkpoint(path: str) -> str:
    """Find the checkpoint that a user means.

    Args:
        path (str): A checkpoint file, or a work directory: its best checkpoint, else its latest.
            Of an adaptation the latest: its best ones were chosen by the target's pairs, or by
            scores without labels that do not choose well (docs/results/index.md).

    Returns:
        str: A file.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If a setting such as ``TARGET=spain`` stands in its place.
    """
    if os.path.isfile(path):
        return path
    if not os.path.isdir(path):
        if is_setting(path):
            raise ValueError(f'{path} is no checkpoint: settings follow --cfg-options')
        raise FileNotFoundError(
            f'no checkpoint at {path}: name a .pth file or the work directory of a training '
            '(tools/train.py)'
        )
    best = sorted(Path(path).glob('best_*.pth'), key=os.path.getmtime)
    adapted = any(file.name.startswith('best_label_free') for file in best)
    checkpoint = str(best[-1]) if best and not adapted else find_resumable(path)
    if not checkpoint:
        raise FileNotFoundError(f'no checkpoint (best_*.pth, epoch_*.pth) in the folder {path}')
    return checkpoint
