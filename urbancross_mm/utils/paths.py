"""Joining names from data files to a root that they must not leave."""

from __future__ import annotations

from pathlib import Path, PurePosixPath


def check_relative(name: str, where: str = '') -> str:
    """Return ``name`` if it stays below the folder it is joined to.

    Args:
        name (str): A file name as found in an annotation, CSV or list file.
        where (str): File and line to name in the error. Defaults to ''.

    Returns:
        str: The name, unchanged.

    Raises:
        ValueError: If the name is empty, absolute, or climbs out with ``..``.
    """
    pure = PurePosixPath(name.replace('\\', '/'))
    if not name or pure.is_absolute() or '..' in pure.parts or ':' in pure.parts[0]:
        place = f' ({where})' if where else ''
        raise ValueError(f'file name {name!r} must be relative and stay inside its folder{place}')
    return name


def safe_join(root: str | Path, name: str, where: str = '') -> str:
    """Join ``name`` to ``root``, refusing names that leave it.

    Args:
        root (str | Path): The folder.
        name (str): A relative file name.
        where (str): File and line to name in the error. Defaults to ''.

    Returns:
        str: The joined path.

    Raises:
        ValueError: If the name is empty, absolute, or climbs out with ``..``.
    """
    return str(Path(root) / check_relative(name, where))


def label_of(img_path: str) -> str | None:
    """Scene class of a picture: its folder, else what stands before ``_`` in its name.

    Args:
        img_path (str): Relative path.

    Returns:
        str | None: None for bare numbers such as RSICD's ``00013.jpg``.
    """
    path = Path(img_path)
    if path.parent.name:
        return path.parent.name
    prefix, found, _ = path.stem.rpartition('_')
    return prefix if found and not prefix.isdecimal() else None
