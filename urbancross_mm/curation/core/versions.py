"""Versions of what makes a dataset."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from urbancross_mm.version import __version__


def versions_of(libraries: Iterable[str]) -> dict[str, str]:
    """Find out versions.

    Args:
        libraries (Iterable[str]): Names of distributions; what is not installed is left out.

    Returns:
        dict[str, str]: Theirs, and that of this package.
    """
    found = dict(urbancross_mm=__version__)
    for library in libraries:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
