"""Reading a config, with or without the sample overlay."""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from urbancross_mm.registry import SCOPE
from urbancross_mm.utils.config import package_configs, read_config

# Settings that are read and are no arguments of the Runner.
_OUTSIDE = (
    'activation_checkpointing',
    'auto_scale_lr',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'start',
    'sync_bn',
)
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
_OVERLAY = ('_base_', 'sample.py')


def load_config(
    path: str | Path, options: Mapping[str, Any] | None = None, sample: bool = False
) -> Config:
    """Read a config file.

    Args:
        path (str | Path): A Python config; ``urbancross_mm::NAME.py`` is one of the package.
        options (Mapping, optional): ``--cfg-options``: dotted keys and their values, merged last.
            Defaults to None.
        sample (bool): Lay ``_base_/sample.py`` of the config tree, or else the package's, over the
            config, so that it runs on generated data with small encoders. Defaults to False.

    Returns:
        Config: Ready for ``Runner.from_cfg``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a valid config, or an option cannot be merged or begins with
            a name that neither it nor the Runner knows.
    """
    package, of_package, name = str(path).partition('::')
    path = package_configs() / name if of_package and package == SCOPE else Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no config at {path}{_near(path)}')
    cfg = read_config(path)
    if sample:
        overlay = read_config(_find_overlay(path))
        cfg = Config(apply_overlay(cfg.to_dict(), overlay.sample.to_dict()), filename=cfg.filename)
    if options:
        _refuse_unknown(cfg, options)
        _merge_options(cfg, options)
    return cfg


def apply_overlay(cfg: dict[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Turn any config into one that runs in minutes, by the rules of ``configs/_base_/sample.py``.

    Args:
        cfg (dict): A config as plain dicts and lists.
        overlay (Mapping): ``data_root`` (prefix of paths, what takes its place), ``replace`` and
            ``update`` by component type, ``merge`` for the top level, or ``merge_adaptation`` for
            a config with ``start``, the checkpoint that it adapts: that of a run with
            ``--sample``, too.

    Returns:
        dict: A new config; the arguments are left alone.
    """
    cfg = _walk(deepcopy(cfg), overlay)
    if 'start' not in cfg:
        return _merge(cfg, overlay.get('merge', {}))
    cfg['start'] += '_sample'
    return _merge(cfg, overlay.get('merge_adaptation', {}))


def nested_dicts(node: Any, type_name: str | None = None) -> Iterator[dict[str, Any]]:
    """Every dict of a part of a config: datasets in datasets, transforms in pipelines.

    Args:
        node (Any): Nested dicts and lists, or nothing.
        type_name (str, optional): Only components of this type, with or without a scope.
            Defaults to None.

    Yields:
        dict: Outer ones first, otherwise in the order of the config.
    """
    if isinstance(node, dict):
        if type_name is None or str(node.get('type', '')).rpartition('.')[2] == type_name:
            yield node
        node = list(node.values())
    if isinstance(node, list | tuple):
        for child in node:
            yield from nested_dicts(child, type_name)


def model_of(cfg: Config) -> dict[str, Any]:
    """The model of a config.

    Args:
        cfg (Config): A config.

    Returns:
        dict: A copy as plain dicts and lists.

    Raises:
        ValueError: If it has none.
    """
    if not isinstance(cfg.get('model'), dict):
        raise ValueError(f'{cfg.filename or "the config"} has no model: it is no config of a run')
    return cfg.model.to_dict()


def test_pipeline_of(cfg: Config) -> list[dict[str, Any]]:
    """Find the test pipeline of a config, also inside wrapped or concatenated datasets.

    Args:
        cfg (Config): A config.

    Returns:
        list[dict]: The transforms.

    Raises:
        ValueError: If the config has no test dataset, or its pipeline is no list.
    """
    for node in nested_dicts(cfg.get('test_dataloader')):
        if 'pipeline' in node:
            if not isinstance(node['pipeline'], list | tuple):
                raise ValueError(
                    f'the pipeline of test_dataloader must be a list of dicts, got '
                    f'{node["pipeline"]!r}'
                )
            return [dict(step) for step in node['pipeline']]
    raise ValueError('the config has no test_dataloader with a pipeline')


def _walk(node: Any, overlay: Mapping[str, Any]) -> Any:
    if isinstance(node, list | tuple):
        return type(node)(_walk(child, overlay) for child in node)
    prefix, new = overlay.get('data_root', ('', ''))
    if isinstance(node, str) and prefix and node.startswith(prefix):
        return new + node[len(prefix) :]
    if not isinstance(node, dict):
        return node
    kind = node.get('type')
    if kind in overlay.get('replace', {}):
        return deepcopy(overlay['replace'][kind])
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


def _find_overlay(path: Path) -> Path:
    for folder in path.resolve().parents:
        overlay = folder.joinpath(*_OVERLAY)
        if overlay.is_file():
            return overlay
    return package_configs().joinpath(*_OVERLAY)


def _merge_options(cfg: Config, options: Mapping[str, Any]) -> None:
    for key, value in options.items():
        try:
            cfg.merge_from_dict({key: value})
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            what = error.args[0] if isinstance(error, KeyError) and error.args else error
            raise ValueError(
                f'the option {key}={value} does not fit {cfg.filename}: {what}'
            ) from error


def _refuse_unknown(cfg: Config, options: Mapping[str, Any]) -> None:
    """A misspelt setting would be merged, and nobody would read it; nor a variable of the file."""
    read = {*_OUTSIDE, *inspect.signature(Runner.__init__).parameters} - {'self', 'cfg'}
    for key in options:
        name = key.partition('.')[0]
        if name not in read and name not in cfg:
            close = difflib.get_close_matches(name, sorted({*cfg.keys(), *read}), n=1)
            raise ValueError(
                f'no setting {name!r} (of {key}) in {cfg.filename}'
                f'{f"; did you mean {close[0]!r}?" if close else ""}'
            )
        if name not in read:
            warnings.warn(
                f'the option {key} may change nothing: {name!r} is a variable of '
                f'{cfg.filename}, whose settings were made before',
                stacklevel=3,
            )


def _near(path: Path) -> str:
    """Name configs that look like the missing one."""
    folder = path.parent if path.parent.is_dir() else Path('configs')
    names = sorted(file.name for file in folder.glob('*.py'))
    close: Sequence[str] = difflib.get_close_matches(path.name, names, n=3)
    return f'; did you mean {", ".join(str(folder / name) for name in close)}?' if close else ''
