"""The overlay behind ``--sample``: rules that make any config a small one."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

# Settings of a model that name layers of its encoders, in whose place there are others.
_OF_LAYERS = ('finetune', 'activation_checkpointing')


def apply_overlay(cfg: dict[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Turn any config into one that runs in minutes, by the rules of ``configs/_base_/sample.py``.

    Args:
        cfg (dict): A config as plain dicts and lists.
        overlay (Mapping): ``data_root`` (prefix of paths, what takes its place), ``replace`` and
            ``update`` by component type, ``merge`` for the top level, or ``merge_adaptation`` for
            a config with ``model.adaptation``, whose source checkpoint is then that of a run with
            ``--sample``, too. A work directory of the config gets the ending ``_sample``. What a
            config says of the layers of its encoders is left out.

    Returns:
        dict: A new config; the arguments are left alone.
    """
    cfg = _walk(deepcopy(cfg), overlay)
    if cfg.get('work_dir'):
        cfg['work_dir'] = _of_sample(cfg['work_dir'])
    model = cfg.get('model')
    if not isinstance(model, dict):
        model = {}
    for key in _OF_LAYERS:
        model.pop(key, None)
    adaptation = model.get('adaptation')
    if not adaptation:
        return _keep_batch(_merge(cfg, overlay.get('merge', {})), cfg.get('train_dataloader'))
    if adaptation.get('source_checkpoint'):
        adaptation['source_checkpoint'] = _of_sample(adaptation['source_checkpoint'])
    return _merge(cfg, overlay.get('merge_adaptation', {}))


def _keep_batch(small: dict[str, Any], loader: Mapping[str, Any] | None) -> dict[str, Any]:
    """A batch sampler states the items of each source, and they add up to the batch size."""
    if loader and loader.get('batch_sampler'):
        small['train_dataloader']['batch_size'] = loader['batch_size']
    return small


def _of_sample(work_dir: str) -> str:
    """A config that a run with ``--sample`` wrote names its folder already."""
    return work_dir.removesuffix('_sample') + '_sample'


def _walk(node: Any, overlay: Mapping[str, Any]) -> Any:
    if isinstance(node, list | tuple):
        return type(node)(_walk(child, overlay) for child in node)
    prefix, new = overlay.get('data_root', ('', ''))
    if isinstance(node, str) and prefix and node.startswith(prefix) and not node.startswith(new):
        return new + node[len(prefix) :]
    if not isinstance(node, dict):
        return node
    kind = node.get('type')
    if kind in overlay.get('replace', {}):
        part = deepcopy(overlay['replace'][kind])
        if 'loss_weight' in node:  # the ratio of two tasks stays
            part.setdefault('loss_weight', node['loss_weight'])
        return part
    node = {key: _walk(child, overlay) for key, child in node.items()}
    return _merge(node, overlay.get('update', {}).get(kind, {}))


def _merge(base: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in extra.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, Mapping):
            merged[key] = _merge(old, value)
        else:
            merged[key] = deepcopy(value)
    return merged
