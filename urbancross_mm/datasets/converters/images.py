"""Finding the images that caption files name, and what lies beside them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from urbancross_mm.datasets.converters.annotations import hash_file
from urbancross_mm.utils.image_files import list_image_files


class ImageFolder:
    """The images of a folder, found by the names that caption files use.

    A name is looked for

    1. as it is,
    2. with another suffix (RSITMD's ``x.tif`` may lie there as ``x.jpg``) or in other case,
    3. with both,
    4. if it names no folder, the same three ways in every folder (``airplane_001.jpg`` as
       ``airplane/airplane_001.jpg``) and, for UCM's ``n.tif``, by number: image ``(n - 1) % P``
       of class ``(n - 1) // P`` in alphabetical order, on disk ``<class>/<class>NN.jpg``, where P
       is one more than the highest NN of any class.

    The first way that finds something decides; several images found by it are refused.

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
        self._paths = _Names((path.as_posix(), path.as_posix()) for path in found)
        self._files = _Names((path.name, path.as_posix()) for path in found)
        self._numbered, self._capacity = self._number_classes(found)

    @property
    def names(self) -> list[str]:
        """Relative path of every image, sorted."""
        return list(self.listing.names)

    def find(self, name: str) -> str | None:
        """Find an image.

        Args:
            name (str): As a caption file writes it.

        Returns:
            str | None: Its path below the folder, or None.

        Raises:
            ValueError: If several images may be meant.
        """
        found = self._named(name) or self._of_number(name)
        if len(found) > 1:
            raise ValueError(
                f'{name} may be {" or ".join(found[:5])} in {self.folder}: keep the '
                'one that the captions describe, or name its path in the captions'
            )
        return found[0] if found else None

    def _named(self, name: str) -> list[str]:
        """Images that may be meant by a name; a bare one that is a number too may be that."""
        if found := self._paths.find(name):
            return found
        found = [] if '/' in name else self._files.find(name)
        return sorted({*found, *self._of_number(name)}) if found else []

    def _of_number(self, name: str) -> list[str]:
        stem = _without_suffix(name)
        return self._numbered.get(int(stem), []) if stem.isdecimal() else []

    def twins(self, names: Iterable[str]) -> dict[str, str]:
        """Find images that are the same file under several names.

        UCM holds one image twice; a drawn split must not tear it apart.

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
        """Refuse to number the images of an incomplete copy.

        A class folder that is missing would move every later class up, and give its images the
        captions of another class.

        Args:
            names (Iterable[str]): All names that the caption files use.

        Raises:
            ValueError: If names are found by number, and the highest is not the number of classes
                times the size of a class.
        """
        numbers = [
            int(stem)
            for name, stem in ((name, _without_suffix(name)) for name in names)
            if stem.isdecimal() and not self._named(name)
        ]
        if numbers and self._numbered and max(numbers) != self._capacity:
            raise ValueError(
                f'captions number the images up to {max(numbers)}, but the class folders of '
                f'{self.folder} make {self._capacity}: images cannot be told by number'
            )

    @staticmethod
    def _number_classes(found: list[Path]) -> tuple[dict[int, list[str]], int]:
        """Number images ``<class>/<class>NN``; nothing if they are not named like that."""
        classes: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for path in found:
            match = re.fullmatch(re.escape(path.parent.name) + r'(\d+)', path.stem)
            if len(path.parts) != 2 or not match:
                return {}, 0
            classes[path.parent.name].append((int(match.group(1)), path.as_posix()))
        # The highest number of all tells the size of a class, also where an image is missing.
        size = 1 + max((number for paths in classes.values() for number, _ in paths), default=-1)
        numbered: dict[int, list[str]] = defaultdict(list)
        for place, name in enumerate(sorted(classes)):
            for number, path in classes[name]:
                numbered[place * size + number + 1].append(path)
        return dict(numbered), size * len(classes)


class _Names:
    """Finds paths by name: as it is; with another suffix or in other case; with both.

    Args:
        named (Iterable[tuple[str, str]]): Names and their paths.
    """

    def __init__(self, named: Iterable[tuple[str, str]]) -> None:
        self._exact, self._stem, self._folded, self._loose = (defaultdict(list) for _ in range(4))
        for name, path in named:
            stem = _without_suffix(name)
            for table, key in (
                (self._exact, name),
                (self._stem, stem),
                (self._folded, name.casefold()),
                (self._loose, stem.casefold()),
            ):
                table[key].append(path)

    def find(self, name: str) -> list[str]:
        """Paths that may be meant, from the first way that finds any."""
        stem = _without_suffix(name)
        alike = {*self._stem.get(stem, ()), *self._folded.get(name.casefold(), ())}
        # What follows a dot need not be a suffix: scene_0.5 is scene_0.5.jpg.
        return (
            self._exact.get(name)
            or self._stem.get(name)
            or sorted(alike)
            or self._loose.get(stem.casefold(), [])
        )


def _without_suffix(name: str) -> str:
    """A name without its suffix; an empty one stays."""
    path = PurePosixPath(name)
    return path.with_suffix('').as_posix() if path.name else name


class Companions:
    """Files that lie in a parallel tree, such as ``segments/<stem>.json`` for an image.

    Args:
        folder (str | Path | None): Root of the tree; None, or no such folder, finds nothing.
        suffix (str): Of the files.
    """

    def __init__(self, folder: str | Path | None, suffix: str) -> None:
        self.folder = Path(folder) if folder is not None else None
        self.suffix = suffix

    def find(self, img_path: str) -> str | None:
        """Find the companion of an image.

        Args:
            img_path (str): Relative path of the image.

        Returns:
            str | None: Path below the folder, or None.
        """
        if self.folder is None:
            return None
        name = Path(img_path).with_suffix(self.suffix).as_posix()
        return name if (self.folder / name).is_file() else None


def sibling(images: str | Path | None, name: str, given: str | Path | None = None) -> Path | None:
    """The folder beside the images, unless another one is given.

    Args:
        images (str | Path | None): Folder of images.
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
