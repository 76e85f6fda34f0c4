"""Joining names from data files to a root that they must not leave."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

# In bytes and in letters, as file systems have them.
LONGEST_NAME, LONGEST_PATH = 255, 4096


def check_relative(name: str, where: str = '') -> str:
    """Return ``name`` if it stays below the folder it is joined to.

    Args:
        name (str): A file name as found in an annotation, CSV or list file.
        where (str): File and line to name in the error. Defaults to ''.

    Returns:
        str: The name, unchanged.

    Raises:
        ValueError: If the name is empty, absolute, climbs out with ``..``, or is none that a disk
            can hold.
    """
    suffix = f' ({where})' if where else ''
    pure = PurePosixPath(name.replace('\\', '/'))
    if not pure.parts or pure.is_absolute() or '..' in pure.parts or ':' in pure.parts[0]:
        raise ValueError(
            f'file name {name!r:.200} must be relative and stay inside its folder{suffix}'
        )
    if (
        '\0' in name
        or len(name) > LONGEST_PATH
        or any(len(part.encode('utf-8', 'replace')) > LONGEST_NAME for part in pure.parts)
    ):
        raise ValueError(f'{name[:60]!r}, of {len(name)} letters, is not a file name{suffix}')
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
    """Scene class of an image: its folder, else what stands before ``_`` in its name.

    Args:
        img_path (str): Relative path.

    Returns:
        str | None: None for bare numbers such as RSICD's ``00013.jpg``.
    """
    path = Path(img_path)
    if path.parent.name:
        return path.parent.name
    prefix, separator, _ = path.stem.rpartition('_')
    return prefix if separator and not prefix.isdecimal() else None
