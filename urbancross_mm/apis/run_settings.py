"""Checks the types of a run's settings before anything is built.

Without this check, a string instead of a number fails deep inside a library, often after an epoch,
with a message that names neither the setting nor its value. Or it is silently misread.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from numbers import Real
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio.backends import backends
from mmengine.registry import OPTIMIZERS
from mmengine.runner import get_priority

from urbancross_mm.utils.config import nested_dicts

_TOGETHER = (
    ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    ('val_dataloader', 'val_cfg', 'val_evaluator'),
    ('test_dataloader', 'test_cfg', 'test_evaluator'),
)
STREAM = 'WebImageTextDataset'
_LOADERS = tuple(names[0] for names in _TOGETHER)
_LOADER = '(train|val|test)_dataloader'
_SCHEDULER = r'param_scheduler(\.\w+)*'
# One, or one of the two of an adversarial training.
_WRAPPER = r'optim_wrapper(\.encoders|\.discriminator)?'


def check_settings(cfg: Config) -> None:
    """Check every setting that a run reads itself; components check their own.

    Args:
        cfg (Config): A config.

    Raises:
        ValueError: If a setting has another type, or one of several that belong together is
            missing. The message names the file, the setting and its value.
    """
    where = f'{cfg.filename}: ' if cfg.filename else ''
    settings = cfg.to_dict()
    for key, value in _flat(settings):
        for pattern, what, fits in _RULES:
            if re.fullmatch(pattern, key) and not fits(value):
                raise ValueError(f'{where}{key} must be {what}, got {_short(value)}')
    for names in _TOGETHER:
        missing = [name for name in names if settings.get(name) is None]
        if missing and len(missing) < len(names):
            raise ValueError(
                f'{where}{", ".join(names)} belong together: {" and ".join(missing)} is missing'
            )
    for name in _LOADERS:
        if isinstance(settings.get(name), dict) and settings[name].get('dataset') is None:
            raise ValueError(f'{where}{name} has no dataset')
    loop = settings.get('train_cfg') or {}
    if 'type' in loop and 'by_epoch' in loop:
        raise ValueError(
            f'{where}train_cfg has both type={loop["type"]} and '
            f'by_epoch={loop["by_epoch"]}: give only one of them'
        )


def fit_streams(cfg: Config) -> None:
    """Give a loader of a stream no sampler, and the stream the batch size by which it shares.

    Args:
        cfg (Config): Changed in place.

    Raises:
        ValueError: If a stream stands inside another dataset, which would read it by index.
    """
    for name in _LOADERS:
        loader = cfg.get(name)
        dataset = loader.get('dataset') if isinstance(loader, dict) else None
        if not isinstance(dataset, dict):
            continue
        if str(dataset.get('type')).rpartition('.')[2] == STREAM:
            loader['sampler'] = None
            loader.pop('batch_sampler', None)
            dataset['batch_size'] = loader.get('batch_size')
        elif list(nested_dicts(dataset, STREAM)):
            raise ValueError(
                f'{name}.dataset: {dataset.get("type")} cannot hold a {STREAM}, which is a stream: '
                'name all shards in one dataset'
            )


def _flat(node: Any, above: str = '') -> Iterator[tuple[str, Any]]:
    """Every setting by its dotted name, as ``--cfg-options`` takes it, without the model's."""
    pairs = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list | tuple)
        else ()
    )
    for name, value in pairs:
        key = f'{above}.{name}' if above else str(name)
        if key != 'model':
            yield key, value
            yield from _flat(value, key)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 100 else f'{text[:100]} ...'


def _part(value: Any) -> bool:
    """Whether these are settings of a part, or the part itself, as a program may set it."""
    return not isinstance(value, str | Real | list | tuple)


def _is(*kinds: Any) -> Callable[[Any], bool]:
    return lambda value: value is None or isinstance(value, kinds)


def _whole(low: int, none: bool = False) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        if value is None:
            return none
        return isinstance(value, int) and not isinstance(value, bool) and value >= low

    return fits


def _length(value: Any) -> bool:
    """Length of a run: mmengine accepts 2.0 for 2; 0 is refused later, with its own message."""
    return isinstance(value, Real) and float(value) >= 0 and float(value) % 1 == 0


def _number(low: float, strict: bool) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, Real) and (float(value) > low if strict else float(value) >= low)
    )


def _indices(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(index, int) for index in value)
    return value is None or (isinstance(value, int) and value != 0)


def _priority(value: Any) -> bool:
    try:
        return value is None or get_priority(value) >= 0
    except (KeyError, TypeError, ValueError):
        return False


def _level(value: Any) -> bool:
    return (
        value in logging.getLevelNamesMapping()
        if isinstance(value, str)
        else isinstance(value, int)
    )


def _optimizer(value: Any) -> bool:
    """Whether it is registered: mmengine fails on an unknown name by calling None."""
    if not isinstance(value, str) or '.' in value:
        return True
    registries = (OPTIMIZERS, *OPTIMIZERS.children.values())
    return any(registry.get(value) is not None for registry in registries)


_RULES: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    # mmengine would take the letters of a string for the items of a dataset.
    (rf'{_LOADER}(\.dataset|\.sampler|\.batch_sampler|\.collate_fn)?', 'a dict', _part),
    (
        r'(train|val|test)_cfg|env_cfg(\.(mp|dist)_cfg)?|randomness|visualizer|log_processor|auto_scale_lr',
        'a dict',
        _part,
    ),
    (rf'{_WRAPPER}(\.optimizer|\.clip_grad|\.paramwise_cfg)?|.*\.backend_args', 'a dict', _part),
    (r'default_hooks(\.\w+)?', 'a dict', _part),
    (r'custom_hooks|.*\.pipeline', 'a list of dicts', _is(list, tuple)),
    (
        r'custom_hooks\.\w+|.*\.pipeline\.\w+',
        'a dict',
        lambda value: value is not None and _part(value),
    ),
    (
        r'param_scheduler|(val|test)_evaluator',
        'a dict or a list of dicts',
        lambda value: not isinstance(value, str | Real),
    ),
    (r'load_from|work_dir|start', 'a path', _is(str, Path)),
    (r'default_scope|experiment_name', 'a name', _is(str)),
    (r'resume|.*\.by_epoch|auto_scale_lr\.enable', 'True or False', _is(bool)),
    (rf'{_LOADER}\.num_workers', 'a whole number from 0', _whole(0)),
    (rf'{_LOADER}\.batch_size', 'a whole number from 1', _whole(1)),
    (
        rf'{_LOADER}(\.dataset(s?\.\w+)*)?\.indices',
        'a whole number that is not 0, or a list of them',
        _indices,
    ),
    (r'train_cfg\.max_(epochs|iters)', 'a whole number', _length),
    (r'train_cfg\.val_interval', 'a whole number from 1', _whole(1)),
    (
        r'randomness\.seed',
        'a whole number from 0 below 2**32',
        lambda value: _whole(0, none=True)(value) and (value or 0) < 2**32,
    ),
    (r'default_hooks\.checkpoint\.(interval|max_keep_ckpts)', 'a whole number', _whole(-1)),
    (
        r'default_hooks\.checkpoint\.save_best',
        'the name of a metric or a list of names',
        _is(str, list, tuple),
    ),
    (
        r'default_hooks\.logger\.interval|log_processor\.window_size|auto_scale_lr\.base_batch_size',
        'a whole number from 1',
        _whole(1),
    ),
    (
        r'(default|custom)_hooks\.\w+\.priority',
        'a number from 0 to 100 or a name such as NORMAL',
        _priority,
    ),
    (
        r'.*\.backend_args\.backend',
        f'one of {", ".join(sorted(backends))}',
        lambda value: value in {*backends, 'atomic'},
    ),
    (r'log_level', 'a level of logging such as INFO', _level),
    (rf'{_SCHEDULER}\.T_max', 'a number above 0', _number(0, strict=True)),
    (rf'{_WRAPPER}\.optimizer\.type', 'the name of an optimizer such as AdamW', _optimizer),
    (rf'{_WRAPPER}\.optimizer\.lr', 'a number from 0', _number(0, strict=False)),
    (
        rf'{_WRAPPER}\.clip_grad\.(max_norm|clip_value)',
        'a number above 0',
        _number(0, strict=True),
    ),
    (rf'{_WRAPPER}\.accumulative_counts', 'a whole number from 1', _whole(1)),
    (r'optim_wrapper\.paramwise_cfg\..*_mult', 'a number from 0', _number(0, strict=False)),
)
