"""Finding the pictures that caption files name, and what lies beside them."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

SUFFIXES = ('.jpg', '.jpeg', '.png', '.tif', '.tiff', '.bmp')


class PictureFolder:
    """The pictures of a folder, found by the names that caption files use.

    A name is looked for as it is, then with another suffix (RSITMD's ``x.tif`` may lie there as
    ``x.jpg``), then, for UCM's ``n.tif``, by number: picture ``(n - 1) % P`` of class
    ``(n - 1) // P`` in alphabetical order, where every class folder holds P pictures.

    Args:
        folder (str | Path): Searched with its subfolders.

    Raises:
        FileNotFoundError: If there is no such folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f'no folder of pictures at {folder}')
        found = sorted(p.relative_to(self.folder) for p in self.folder.rglob('*')
                       if p.suffix.lower() in SUFFIXES)
        self._by_name = {path.as_posix(): path.as_posix() for path in found}
        self._by_stem = {path.with_suffix('').as_posix(): path.as_posix() for path in found}
        self._numbered = self._number_classes(found)

    def find(self, name: str) -> str | None:
        """Find a picture.

        Args:
            name (str): As a caption file writes it.

        Returns:
            str | None: Its path below the folder, or None.
        """
        stem = Path(name).with_suffix('').as_posix()
        if name in self._by_name or stem in self._by_stem:
            return self._by_name.get(name) or self._by_stem[stem]
        return self._numbered.get(int(stem)) if stem.isdecimal() else None

    @staticmethod
    def _number_classes(found: list[Path]) -> dict[int, str]:
        classes = defaultdict(list)
        for path in found:
            if len(path.parts) == 2:
                classes[path.parts[0]].append(path.as_posix())
        sizes = {len(paths) for paths in classes.values()}
        if len(sizes) != 1:
            return {}  # classes of different sizes: a number does not tell the class
        in_order = [path for name in sorted(classes) for path in classes[name]]
        return dict(enumerate(in_order, 1))


class Companions:
    """Files that lie in a parallel tree, such as ``segments/<stem>.json`` for a picture.

    Args:
        folder (str | Path | None): Root of the tree; None, or no such folder, finds nothing.
        suffix (str): Of the files.
    """

    def __init__(self, folder: str | Path | None, suffix: str) -> None:
        self.folder = Path(folder) if folder is not None else None
        self.suffix = suffix

    def find(self, img_path: str) -> str | None:
        """Find the companion of a picture.

        Args:
            img_path (str): Relative path of the picture.

        Returns:
            str | None: Path below the folder, or None.
        """
        if self.folder is None:
            return None
        name = Path(img_path).with_suffix(self.suffix).as_posix()
        return name if (self.folder / name).is_file() else None


def sibling(images: str | Path | None, name: str, given: str | Path | None = None) -> Path | None:
    """The folder beside the pictures, unless another one is given.

    Args:
        images (str | Path | None): Folder of pictures.
        name (str): ``segments`` or ``seg_maps``.
        given (str | Path | None): Takes its place. Defaults to None.

    Returns:
        Path | None: The folder.

    Raises:
        FileNotFoundError: If a folder was given and is not there.
    """
    if given is not None:
        if not Path(given).is_dir():
            raise FileNotFoundError(f'no folder at {given}')
        return Path(given)
    return None if images is None else Path(images).parent / name
