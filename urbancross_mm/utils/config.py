"""Reading a config file; whatever is wrong with it ends in a sentence that names it."""

from __future__ import annotations

import contextlib
import difflib
import logging
import os
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config
from mmengine.fileio import YamlHandler
from mmengine.fileio.handlers.registry_utils import file_handlers

PACKAGE = 'urbancross_mm'
_BASE = '_base_'
# How often a base was read for a file, to end a circle long before Python does.
_read: Counter[tuple[str, str]] = Counter()
_CIRCLE = 20
# As mmengine finds them: {{$NAME:default}} or {{'$NAME:default'}}.
_VARIABLE = re.compile(r'\{\{[\'"]?\s*\$(\w+)\s*:')


def package_configs() -> Path:
    """The config tree of the package, wherever it is installed.

    Returns:
        Path: ``.mim/configs`` inside it, or of a clone that is not installed the folder beside it.
    """
    package = Path(__file__).resolve().parents[1]
    installed = package / '.mim' / 'configs'
    return installed if installed.is_dir() else package.parent / 'configs'


def read_config(path: str | Path, variables: Mapping[str, Any] | None = None) -> Config:
    """Read a config and everything that it inherits.

    ``_base_ = 'urbancross_mm::baselines/linear_ucm.py'`` inherits from the package's own configs.

    Args:
        path (str | Path): A file (``.py``, or mmengine's other formats).
        variables (Mapping, optional): Values of the config's ``{{$NAME:default}}``, which win over
            the environment. Defaults to None.

    Returns:
        Config: As mmengine reads it.

    Raises:
        ValueError: If the file or one that it inherits from is missing or no valid config.
    """
    _find_our_bases()
    file_handlers.update(yaml=_Yaml(), yml=_Yaml())
    _read.clear()
    try:
        with _environment(variables or {}):
            return Config.fromfile(str(path))
    except (Exception, SystemExit) as error:  # a config is code: it may raise anything
        kind = 'does not parse' if isinstance(error, SyntaxError) else 'cannot be read'
        raise ValueError(f'the config {path} {kind}: {_reason(error, variables or {})}') from error


def variables_of(cfg: Config) -> list[str]:
    """The variables that a config and its bases read.

    Args:
        cfg (Config): From :func:`read_config`.

    Returns:
        list[str]: Names, sorted.
    """
    return sorted(set(_VARIABLE.findall(cfg.text)))


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


def find_pipeline(cfg: Config, *loaders: str) -> list[dict[str, Any]] | None:
    """Find the pipeline of a dataset, also inside wrapped or concatenated ones.

    Args:
        cfg (Config): A config.
        *loaders (str): Names of loaders; the first that has a pipeline counts.

    Returns:
        list[dict] | None: The transforms; None if no loader has some.

    Raises:
        ValueError: If the pipeline is no list.
    """
    for loader in loaders:
        for node in nested_dicts(cfg.get(loader)):
            if 'pipeline' in node:
                if not isinstance(node['pipeline'], list | tuple):
                    raise ValueError(
                        f'the pipeline of {loader} must be a list of dicts, got '
                        f'{node["pipeline"]!r}'
                    )
                return [dict(step) for step in node['pipeline']]
    return None


def test_pipeline_of(cfg: Config) -> list[dict[str, Any]]:
    """Find the test pipeline of a config.

    Args:
        cfg (Config): A config.

    Returns:
        list[dict]: The transforms.

    Raises:
        ValueError: If the config has no test dataset, or its pipeline is no list.
    """
    pipeline = find_pipeline(cfg, 'test_dataloader')
    if pipeline is None:
        raise ValueError('the config has no test_dataloader with a pipeline')
    return pipeline


@contextlib.contextmanager
def _environment(variables: Mapping[str, Any]) -> Iterator[None]:
    """mmengine takes variables from the environment, and logs each use to stdout."""
    before = {name: os.environ.get(name) for name in variables}
    level = logging.root.manager.disable
    logging.disable(logging.INFO)
    # mmengine puts a value into a regular expression's template, where a backslash has a meaning.
    os.environ.update({name: str(value).replace('\\', '/') for name, value in variables.items()})
    try:
        yield
    finally:
        logging.disable(level)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _find_our_bases() -> None:
    """Teach mmengine where our configs are: it knows the packages of OpenMMLab alone."""
    original = Config._get_cfg_path
    if getattr(original, 'knows_ours', False):
        return

    def find(cfg_path: str, filename: str) -> tuple[str, str | None]:
        package, separator, name = str(cfg_path).partition('::')
        if not separator:
            return _local_base(str(cfg_path), filename), None
        if package.rpartition('/')[2] != PACKAGE:
            return original(cfg_path, filename)
        # No scope: mmengine would write it into every dict, and our configs set default_scope.
        return str(package_configs() / name), None

    find.knows_ours = True  # type: ignore[attr-defined]
    Config._get_cfg_path = staticmethod(find)


def _local_base(cfg_path: str, filename: str) -> str:
    """A base beside the file; one that a variable names may be meant from the working directory."""
    path = os.path.normpath(os.path.join(os.path.dirname(filename), cfg_path))
    _read[filename, path] += 1
    if _read[filename, path] > _CIRCLE:
        raise RecursionError
    if os.path.isfile(path):
        return path
    while cfg_path.startswith('../'):
        cfg_path = cfg_path[3:]
        if os.path.isfile(cfg_path):
            return os.path.abspath(cfg_path)
    return os.path.abspath(cfg_path) if os.path.isfile(cfg_path) else _refuse_missing(path)


def _refuse_missing(path: str) -> str:
    folder, name = os.path.split(os.path.relpath(path))
    known = sorted(file.name for file in Path(folder or '.').glob('*.py'))
    close = difflib.get_close_matches(name, known, n=3)
    raise FileNotFoundError(
        f'no {name} in {folder or "this folder"}'
        + (f'; did you mean {" or ".join(close)}' if close else '')
        + f'; there are {", ".join(known) or "no configs"}'
    )


class _Yaml(YamlHandler):
    """mmengine's reader calls whatever a YAML file names; this one takes plain data and tuples."""

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        return super().load_from_fileobj(file, Loader=yaml.FullLoader)


def _reason(error: BaseException, variables: Mapping[str, Any]) -> str:
    if isinstance(error, RecursionError):
        return (
            'its _base_ files inherit from each other; CONFIG names a config that reads no CONFIG, '
            'or the one that such a run wrote to its work directory'
        )
    if isinstance(error, KeyError):  # a table of the config, read at a variable
        for name, value in variables.items():
            if error.args == (value,):
                return f'{name}={value} is none of the names there{_line_of(error)}'
    text = textwrap.shorten(str(error), 400, placeholder=' ...') or 'no message'
    if not isinstance(error, ValueError | OSError | SyntaxError):
        text = f'{type(error).__name__}: {text}'
    return f'{text}{_line_of(error)}'


def _line_of(error: BaseException) -> str:
    """Where in a config it happened, which may be a base of the one that was named."""
    where, trace = '', error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if _BASE in trace.tb_frame.f_globals and code.co_filename.endswith('.py'):
            where = f' ({os.path.relpath(code.co_filename)}, line {trace.tb_lineno})'
        trace = trace.tb_next
    return where
