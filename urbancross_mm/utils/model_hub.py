"""The configs of this package by name in mmpretrain: ``get_model('urbancross_finland')``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from urbancross_mm.utils.import_hooks import run_after_import

MODULE = 'mmpretrain.apis.model'
INDEX = 'model-index.yml'
ReadConfig = Callable[[str], Any]


def install_model_hub(read: ReadConfig) -> None:
    """Add the models to mmpretrain's hub, now or when it is imported.

    Args:
        read (Callable): Gives the config of a file, ready to be built in any scope.
    """
    run_after_import(MODULE, functools.partial(_register, read=read))


def _register(module: Any, read: ReadConfig) -> None:
    from urbancross_mm.utils.config import package_configs

    root = package_configs().parent
    if not (root / INDEX).is_file():  # a copy of the package alone
        return
    hub = module.ModelHub
    known = set(hub._models_dict)
    hub.register_model_index(root / INDEX, config_prefix=root)
    for name in hub._models_dict.keys() - known:
        entry = hub._models_dict[name]
        entry.config = _Lazy(entry.config, read)


class _Lazy:
    """Stands for a config in an entry of the hub, of which the hub hands out copies."""

    def __init__(self, path: str, read: ReadConfig) -> None:
        self.path, self.read = path, read

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self.read(self.path)

    def __str__(self) -> str:
        return self.path
