"""Which checkpoint a user means, and the model that it fills."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from urbancross_mm.engine import find_resumable
from urbancross_mm.registry import MODELS
from urbancross_mm.utils.checkpoints import read_state_dict
from urbancross_mm.utils.cli import is_setting
from urbancross_mm.utils.state_dicts import check_state_dict, own_weights

# Settings that name where weights come from before a training.
_SOURCES = ('init_cfg', 'source_checkpoint', 'weights_dir')


def for_checkpoint(model: Any) -> Any:
    """A model's config, to be filled from a checkpoint: pretrained weights are left out.

    A trained model must not need the source that it once started from.

    Args:
        model (Any): ``cfg.model``, or any part of it.

    Returns:
        Any: The same without ``pretrained``, ``init_cfg``, ``source_checkpoint`` and
        ``weights_dir``, at any depth.
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
            f'(tools/train.py){_near(path)}'
        )
    best = sorted(Path(path).glob('best_*.pth'), key=os.path.getmtime)
    adapted = any(file.name.startswith('best_label_free') for file in best)
    checkpoint = str(best[-1]) if best and not adapted else find_resumable(path)
    if not checkpoint:
        raise FileNotFoundError(f'no checkpoint (best_*.pth, epoch_*.pth) in the folder {path}')
    return checkpoint


def _near(path: str) -> str:
    """A run with ``--sample`` has a work directory of its own."""
    sample = path.rstrip('/') + '_sample'
    return f'; --sample wrote to {sample}' if os.path.isdir(sample) else ''


def build_model(model: dict[str, Any], checkpoint: str | None = None) -> Any:
    """Build a model and give it its weights.

    Args:
        model (dict): Config of the model.
        checkpoint (str, optional): A file. Defaults to None: the weights that the config names.

    Returns:
        nn.Module: The model. Weights that nothing brings are random, and the same each time.

    Raises:
        ValueError: If the checkpoint belongs to another model.
    """
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(0)
        built = MODELS.build(model if checkpoint is None else for_checkpoint(model))
        if checkpoint is None and hasattr(built, 'init_weights'):
            built.init_weights()
    if checkpoint is not None:
        weights = own_weights(built, read_state_dict(checkpoint))
        check_state_dict(built, weights, checkpoint)
        built.load_state_dict(weights, strict=False)
    return built


def hash_weights(*parts: Mapping[str, Tensor], text: str = '') -> str:
    """Hash names and values of the weights of each part, after a text that belongs to them."""
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name, value in (item for weights in parts for item in sorted(weights.items())):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
