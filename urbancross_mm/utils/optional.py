"""Importing packages that not everybody has."""

from __future__ import annotations

import importlib
from types import ModuleType


def import_optional(module: str, purpose: str, install: str) -> ModuleType:
    """Import an optional package, or raise an error that says how to install it.

    Args:
        module (str): Dotted module name.
        purpose (str): What needs it, for the message.
        install (str): What follows ``pip install``.

    Returns:
        ModuleType: The imported module.

    Raises:
        ImportError: If the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and not module.startswith(error.name):
            raise
        raise ImportError(
            f'{purpose} needs the package {module!r}, which is not installed: pip install {install}'
        ) from error
