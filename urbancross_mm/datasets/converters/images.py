"""Finding the images that caption files name, and the sidecar files of each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from urbancross_mm.datasets.converters.sources import hash_file
from urbancross_mm.utils.image_files import list_image_files


class ImageFolder:
    """The images of a folder, found by the names that caption files use.

    A name is looked for

    1. as it is,
    2. with another suffix (RSITMD's ``x.tif`` may lie there as ``x.jpg``) or in other case,
    3. with both,
    4. without a folder in the name, the same three ways in every folder (``airplane_001.jpg`` as
       ``airplane/airplane_001.jpg``) and, for UCM's ``n.tif``, by number: image ``(n - 1) % P``
       of class ``(n - 1) // P`` in alphabetical order, on disk ``<class>/<class>NN.jpg``, where P
       is one more than the highest NN of any class.

    The first way that matches decides. If several images match, the name is refused.

    Args:
        folder (str | Path): Searched with its subfolders.

    Raises:
        FileNotFoundError: If there is no such folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.listing = list_image_files(folder)
        # A caption file may use the second name of an image as well.
        paths = sorted(map(Path, (*self.listing.names, *self.listing.second_names)))
        self._paths = _Names((path.as_posix(), path.as_posix()) for path in paths)
        self._files = _Names((path.name, path.as_posix()) for path in paths)
        self._numbered, self._capacity = self._number_classes(paths)

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
            ValueError: If several images match.
        """
        matches = self._named(name) or self._of_number(name)
        if len(matches) > 1:
            raise ValueError(
                f'{name} matches {" and ".join(matches[:5])} in {self.folder}: keep only the '
                'image that the captions describe, or give its path in the captions'
            )
        return matches[0] if matches else None

    def _named(self, name: str) -> list[str]:
        """Images that match a name; one without a folder that is a number may be that too."""
        if matches := self._paths.find(name):
            return matches
        matches = [] if '/' in name else self._files.find(name)
        return sorted({*matches, *self._of_number(name)}) if matches else []

    def _of_number(self, name: str) -> list[str]:
        stem = _without_suffix(name)
        return self._numbered.get(int(stem), []) if stem.isdecimal() else []

    def duplicates(self, names: Iterable[str]) -> dict[str, str]:
        """Find images that are the same file under several names.

        UCM holds one image twice; both must go to the same split. Returns each duplicate with the
        first of its names.
        """
        by_size: dict[int, list[tuple[str, Path]]] = defaultdict(list)
        for name in sorted(names):
            path = self.find(name)
            if path is not None:
                by_size[(self.folder / path).stat().st_size].append((name, self.folder / path))
        first_names: dict[str, str] = {}
        duplicates = {}
        for group in by_size.values():
            # Only files of one size can be equal, so few are read.
            for name, file in group if len(group) > 1 else ():
                first = first_names.setdefault(hash_file(file), name)
                if first != name:
                    duplicates[name] = first
        return duplicates

    def check_numbers(self, names: Iterable[str]) -> None:
        """Refuse to match names by number in an incomplete copy.

        Without one of the class folders, every later class would move up and get the captions of
        another class.
        """
        numbers = [
            int(stem)
            for name, stem in ((name, _without_suffix(name)) for name in names)
            if stem.isdecimal() and not self._named(name)
        ]
        if numbers and self._numbered and max(numbers) != self._capacity:
            raise ValueError(
                f'cannot match captions to images by number: the captions count to {max(numbers)}, '
                f'the class folders of {self.folder} hold {self._capacity}; a class folder or an '
                'image is missing'
            )

    @staticmethod
    def _number_classes(images: list[Path]) -> tuple[dict[int, list[str]], int]:
        """Number images ``<class>/<class>NN``; nothing if they are not named like that."""
        classes: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for path in images:
            match = re.fullmatch(re.escape(path.parent.name) + r'(\d+)', path.stem)
            if len(path.parts) != 2 or not match:
                return {}, 0
            classes[path.parent.name].append((int(match.group(1)), path.as_posix()))
        # The highest number of any class is its size, even if another class lacks an image.
        size = 1 + max((number for paths in classes.values() for number, _ in paths), default=-1)
        numbered: dict[int, list[str]] = defaultdict(list)
        for position, name in enumerate(sorted(classes)):
            for number, image in classes[name]:
                numbered[position * size + number + 1].append(image)
        return dict(numbered), size * len(classes)


class _Names:
    """Finds paths by name: as it is; with another suffix or in other case; with both."""

    def __init__(self, named: Iterable[tuple[str, str]]) -> None:
        self._exact: dict[str, list[str]] = defaultdict(list)
        self._stem: dict[str, list[str]] = defaultdict(list)
        self._folded: dict[str, list[str]] = defaultdict(list)
        self._loose: dict[str, list[str]] = defaultdict(list)
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
        """Paths that match, by the first way that has a match."""
        stem = _without_suffix(name)
        similar = {*self._stem.get(stem, ()), *self._folded.get(name.casefold(), ())}
        # What follows a dot need not be a suffix: scene_0.5 is scene_0.5.jpg.
        return (
            self._exact.get(name)
            or self._stem.get(name)
            or sorted(similar)
            or self._loose.get(stem.casefold(), [])
        )


def _without_suffix(name: str) -> str:
    """A name without its suffix; an empty one stays."""
    path = PurePosixPath(name)
    return path.with_suffix('').as_posix() if path.name else name


class SidecarFiles:
    """Files in a folder tree parallel to the images, such as ``segments/<stem>.json``.

    Args:
        folder (str | Path | None): Root of the tree; None, or no such folder, finds nothing.
        suffix (str): Of the files.
    """

    def __init__(self, folder: str | Path | None, suffix: str) -> None:
        self.folder = Path(folder) if folder is not None else None
        self.suffix = suffix

    def find(self, img_path: str) -> str | None:
        """Find the sidecar file of an image.

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
    """The folder ``name`` beside the images, unless another one is given, which must exist."""
    if given is not None:
        if not Path(given).is_dir():
            raise FileNotFoundError(f'no folder at {given}')
        return Path(given)
    return None if images is None else Path(images).parent / name
