"""Doing something as soon as a module of another package is imported, and not before."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

AfterImport = Callable[[Any], None]


def run_after_import(name: str, function: AfterImport) -> None:
    """Call a function with a module, now or when it is imported.

    Args:
        name (str): Dotted name of the module, which is a Python file.
        function (Callable): Takes the module. A second one for the same module replaces the first.
    """
    if name in sys.modules:
        function(sys.modules[name])
        return
    finder = next((one for one in sys.meta_path if isinstance(one, _Finder)), None)
    if finder is None:
        finder = _Finder()
        sys.meta_path.insert(0, finder)
    finder.waiting[name] = function


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads the module, then calls the function."""

    function: AfterImport

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        self.function(module)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that functions wait for."""

    def __init__(self) -> None:
        self.waiting: dict[str, AfterImport] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self.waiting:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            loader = _Loader(fullname, spec.origin)
            loader.function = self.waiting[fullname]
            spec.loader = loader
        return spec
