"""Reading a config, with or without the sample overlay."""

from __future__ import annotations

import difflib
import inspect
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from urbancross_mm.inference.overlay import apply_overlay
from urbancross_mm.registry import SCOPE
from urbancross_mm.utils.config import package_configs, read_config, variables_of

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
    'sync_bn',
)
_RENAMED = {'start': 'model.adaptation.source_checkpoint'}
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# Configs of version 0.1 that are now variables of another.
_MOVED = (
    (
        r'(urbancross_[a-z]+)2([a-z]+)(?:_([a-z-]+))?',
        'adapt.py --cfg-options CONFIG={0}.py TARGET={1} METHOD={2}',
    ),
    (
        r'([\w-]+_[a-z]+)2([a-z]+)_([a-z-]+)',
        'adapt.py --cfg-options CONFIG=baselines/{0}.py TARGET={1} METHOD={2}',
    ),
    (
        'own_city',
        'adapt.py --cfg-options CONFIG=urbancross_finland.py TARGET=mycity METHOD=transport',
    ),
    (
        r'([\w-]+)_rsicd_segments',
        'own_dataset.py --cfg-options CONFIG=baselines/{0}_ucm_segments.py DATASET=rsicd',
    ),
)
_OVERLAY = ('_base_', 'sample.py')
_VARIABLE = re.compile('[A-Z][A-Z0-9_]*')


def load_config(
    path: str | Path, options: Mapping[str, Any] | None = None, sample: bool = False
) -> Config:
    """Read a config file.

    Args:
        path (str | Path): A Python config. ``urbancross_mm::NAME.py`` is one of the package, and so
            are ``NAME.py`` and ``configs/NAME.py`` where there is no such file.
        options (Mapping, optional): ``--cfg-options``: variables of the config in capital letters
            (``TARGET``), which are set before it is read, and dotted keys, which are merged last.
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
    options = dict(options or {})
    variables = {name: options.pop(name) for name in list(options) if _VARIABLE.fullmatch(name)}
    path = _locate(path)
    if not path.is_file():
        raise FileNotFoundError(f'no config at {path}{_near(path, sample)}')
    cfg = read_config(path, variables)
    known = variables_of(cfg)
    if sample:
        overlay = read_config(_find_overlay(path), variables)
        known += variables_of(overlay)
        cfg = Config(apply_overlay(cfg.to_dict(), overlay.sample.to_dict()), filename=cfg.filename)
    for name in variables:
        if name not in known:
            raise ValueError(
                f'{path} reads no variable {name}{_did_you_mean(name, known)}; it reads '
                f'{", ".join(sorted(set(known))) or "none"}'
            )
    if options:
        options = _renamed(options)
        _refuse_unknown(cfg, options, known)
        _merge_options(cfg, options)
    return cfg


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


def _renamed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by their present names; an old name warns, and goes after version 0.2."""
    renamed = {}
    for key, value in options.items():
        if key in _RENAMED:
            warnings.warn(f'the option {key} is now called {_RENAMED[key]}', stacklevel=3)
        renamed[_RENAMED.get(key, key)] = value
    return renamed


def _refuse_unknown(cfg: Config, options: Mapping[str, Any], variables: list[str]) -> None:
    """A misspelt setting would be merged, and nobody would read it; nor a variable of the file."""
    read = {*_OUTSIDE, *inspect.signature(Runner.__init__).parameters} - {'self', 'cfg'}
    for key in options:
        name = key.partition('.')[0]
        if name in read:
            continue
        near = [name.upper()] if name.upper() in variables else []
        if name in cfg:
            warnings.warn(
                f'the option {key} may change nothing: {name!r} is a variable of '
                f'{cfg.filename}, whose settings were made before{_did_you_mean(name, near)}',
                stacklevel=3,
            )
            continue
        near = near or sorted({*cfg.keys(), *read})
        raise ValueError(
            f'no setting {name!r} (of {key}) in {cfg.filename}{_did_you_mean(name, near)}'
        )


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    close = known if len(known) == 1 else difflib.get_close_matches(name, known, n=1)
    return f'; did you mean {close[0]!r}?' if close else ''


def _locate(path: str | Path) -> Path:
    """The file that a name of a config means; it need not exist."""
    package, of_package, name = str(path).partition('::')
    if of_package and package == SCOPE:
        return package_configs() / name
    packaged = package_configs() / str(path).removeprefix('configs/')
    return packaged if packaged.is_file() and not Path(path).exists() else Path(path)


def _near(path: Path, sample: bool) -> str:
    """Name what took the place of the missing config, or configs that look like it."""
    for pattern, command in _MOVED:
        if match := re.fullmatch(pattern, path.stem):
            name, options = command.format(*match.groups('curriculum')).split(maxsplit=1)
            return f'; it is now configs/{name}{" --sample" if sample else ""} {options}'
    folder = path.parent if path.parent.is_dir() else Path('configs')
    names = sorted(file.name for file in folder.glob('*.py'))
    close: Sequence[str] = difflib.get_close_matches(path.name, names, n=3)
    return f'; did you mean {", ".join(str(folder / name) for name in close)}?' if close else ''
