"""Let mmengine read every checkpoint through :func:`read_checkpoint`.

mmengine unpickles what torch's safe loader refuses, and runs the code that a file carries. The
Runner, ``init_cfg`` and the APIs of mmpretrain and mmseg all load through one module of mmengine.
Its two readers are replaced as soon as it is imported.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

from urbancross_mm.utils.checkpoints import read_checkpoint, weights_of

MODULE = 'mmengine.runner.checkpoint'


def install_checkpoint_reader() -> None:
    """Replace mmengine's readers, now or when they are imported."""
    if MODULE in sys.modules:
        _replace_readers(sys.modules[MODULE])
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _replace_readers(module: Any) -> None:
    module.CheckpointLoader.register_scheme('', load_from_local, force=True)
    # Other schemes end in one of these two: a file, downloaded or not, or a buffer of a store.
    module._safe_torch_load = load_from_local
    module.load_url = _read_url
    find = module._load_checkpoint_with_prefix

    def find_or_say(prefix: str, filename: str, map_location: Any = None) -> dict[str, Any]:
        try:
            return find(prefix, filename, map_location)
        except AssertionError:
            raise ValueError(
                f'no weight in {filename} begins with {prefix!r}, the prefix of init_cfg'
            ) from None

    module._load_checkpoint_with_prefix = find_or_say
    load = module.load_checkpoint

    def load_or_say(model: Any, filename: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        checkpoint = load(model, filename, *args, **kwargs)
        weights = checkpoint.get('state_dict', checkpoint)
        # mmengine logs the names, and goes on with random weights; other names may be asked for.
        if (
            len(args) < 4
            and 'revise_keys' not in kwargs
            and weights.keys().isdisjoint(model.state_dict())
        ):
            raise ValueError(
                f'no weight in {filename} is one of {type(model).__name__}: it holds '
                f'{", ".join(list(weights)[:3])}; name their prefix in init_cfg'
            )
        return checkpoint

    module.load_checkpoint = load_or_say


def load_from_local(
    filename: Any, map_location: Any = None, weights_only: bool | None = None
) -> dict[str, Any]:
    """Read a file on the CPU; loading copies it to its device. mmengine logs this name."""
    if not isinstance(filename, str | Path):
        raise ValueError('a checkpoint is read from a file: download it and name that')
    return _read(Path(filename).expanduser())


def _read(path: Path) -> dict[str, Any]:
    checkpoint = read_checkpoint(path)
    weights_of(checkpoint, path)  # or the error would blame the model
    return _without_config(checkpoint)


def _without_config(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Old checkpoints carry their config as text, which a resumed Runner would run."""
    if isinstance(checkpoint.get('meta'), dict):
        checkpoint['meta'].pop('config', None)
    return checkpoint


def _read_url(
    url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True
) -> dict[str, Any]:
    """Download a file to torch's cache if it is not there, and read it."""
    import torch

    folder = Path(model_dir or Path(torch.hub.get_dir()) / 'checkpoints')
    path = folder / Path(urlparse(url).path).name
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), progress=progress)
    return _read(path)


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads the module, then replaces its readers."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        _replace_readers(module)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds :data:`MODULE`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin)
        return spec
