"""Finding the pictures that caption files name, and what lies beside them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from urbancross_mm.datasets.converters.annotations import hash_file
from urbancross_mm.utils.image_files import list_image_files


class PictureFolder:
    """The pictures of a folder, found by the names that caption files use.

    A name is looked for as it is, then with another suffix (RSITMD's ``x.tif`` may lie there as
    ``x.jpg``), then, for UCM's ``n.tif``, by number: picture ``(n - 1) % P`` of class
    ``(n - 1) // P`` in alphabetical order, on disk ``<class>/<class>NN.jpg``, where P is one more
    than the highest NN of any class.

    Args:
        folder (str | Path): Searched with its subfolders.

    Raises:
        FileNotFoundError: If there is no such folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.listing = list_image_files(folder)
        # A caption file may use the second name of an image as well.
        found = sorted(map(Path, (*self.listing.names, *self.listing.second_names)))
        self._by_name = {path.as_posix(): path.as_posix() for path in found}
        self._by_stem = {path.with_suffix('').as_posix(): path.as_posix() for path in found}
        self._numbered, self._capacity = self._number_classes(found)

    @property
    def names(self) -> list[str]:
        """Relative path of every picture, sorted."""
        return list(self.listing.names)

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

    def twins(self, names: Iterable[str]) -> dict[str, str]:
        """Find pictures that are the same file under several names.

        UCM holds one picture twice; a drawn split must not tear it apart.

        Args:
            names (Iterable[str]): As caption files write them; those not on disk are left out.

        Returns:
            dict[str, str]: From each repetition to the first of its names.
        """
        by_size: dict[int, list[tuple[str, Path]]] = defaultdict(list)
        for name in sorted(names):
            path = self.find(name)
            if path is not None:
                by_size[(self.folder / path).stat().st_size].append((name, self.folder / path))
        first: dict[str, str] = {}
        twins = {}
        for group in by_size.values():
            # Only files of one size can be equal, so few are read.
            for name, file in group if len(group) > 1 else ():
                found = first.setdefault(hash_file(file), name)
                if found != name:
                    twins[name] = found
        return twins

    def check_numbers(self, names: Iterable[str]) -> None:
        """Refuse to number the pictures of an incomplete copy.

        A class folder that is missing would move every later class up, and give its pictures the
        captions of another class.

        Args:
            names (Iterable[str]): All names that the caption files use.

        Raises:
            ValueError: If names are found by number, and the highest is not the number of classes
                times the size of a class.
        """
        numbers = [int(stem) for stem in (Path(name).stem for name in names)
                   if stem.isdecimal() and stem not in self._by_stem]
        if numbers and self._numbered and max(numbers) != self._capacity:
            raise ValueError(
                f'captions number the pictures up to {max(numbers)}, but the class folders of '
                f'{self.folder} make {self._capacity}: pictures cannot be told by number')

    @staticmethod
    def _number_classes(found: list[Path]) -> tuple[dict[int, str], int]:
        """Number pictures ``<class>/<class>NN``; nothing if they are not named like that."""
        classes: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for path in found:
            match = re.fullmatch(re.escape(path.parent.name) + r'(\d+)', path.stem)
            if len(path.parts) != 2 or not match:
                return {}, 0
            classes[path.parent.name].append((int(match.group(1)), path.as_posix()))
        # The highest number of all tells the size of a class, also where a picture is missing.
        size = 1 + max((number for paths in classes.values() for number, _ in paths), default=-1)
        numbered = {}
        for place, name in enumerate(sorted(classes)):
            numbered.update({place * size + number + 1: path for number, path in classes[name]})
        return numbered, size * len(classes)


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
