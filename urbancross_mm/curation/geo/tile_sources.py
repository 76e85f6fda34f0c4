"""Which files become pictures, and under which names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from urbancross_mm.curation.core.records import Picture
from urbancross_mm.curation.geo.positions import world_file_of
from urbancross_mm.utils.image_files import UNWRITABLE, is_writable, list_image_files
from urbancross_mm.utils.paths import check_relative

# File systems allow 255, and names of temporary files are longer.
LONGEST_NAME = 230


def picture_files(folder: Path) -> list[str]:
    """Every image below a folder, also those with a name that :func:`source_of` will refuse.

    Args:
        folder (Path): The folder.

    Returns:
        list[str]: Relative paths, sorted; see :func:`list_image_files`.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    listing = list_image_files(folder)
    return sorted([*listing.names, *listing.unwritable])


def refuse_own_pictures(folder: Path, out: Path) -> None:
    """Refuse a folder with a link into the data set that is made from it.

    Args:
        folder (Path): ``--in``.
        out (Path): ``--out``.

    Raises:
        ValueError: If there is one: every run would add the pictures of the last one.
    """
    own = os.path.join(os.path.realpath(out), '')
    for name, real in list_image_files(folder).linked.items():
        if real.startswith(own):
            raise ValueError(
                f'{folder / name} lies in --out {out} by a link: every run would take '
                'the pictures of the last one for tiles'
            )


def passed_over(folder: Path) -> str:
    """What looks like an image and becomes none, not even a refused one.

    Args:
        folder (Path): The folder.

    Returns:
        str: See :attr:`ImageListing.remark`.
    """
    listing = list_image_files(folder)
    listing.passed_over.pop(UNWRITABLE, None)
    return listing.remark


def source_of(folder: Path, name: str) -> Picture:
    """A file as a picture: what its outcome depends on, or why it cannot be one.

    Args:
        folder (Path): Where it lies.
        name (str): Relative path.

    Returns:
        Picture: With ``source``, ``stamp`` and ``world``, those of its world file; or ``refused``.
    """
    written = name.encode('utf-8', 'surrogateescape').decode('utf-8', 'backslashreplace')
    if written != name:
        return Picture(written, dict(source=written, refused='its name is not UTF-8'))
    if max(len(part.encode()) for part in name.split('/')) > LONGEST_NAME:
        return Picture(
            name, dict(source=name, refused=f'its name is longer than {LONGEST_NAME} bytes')
        )
    if not is_writable(name):
        return Picture(name, dict(source=name, refused='its name has control characters'))
    try:
        check_relative(name)
    except ValueError:
        return Picture(name, dict(source=name, refused='its name cannot stand in annotations'))
    world = world_file_of(folder / name)
    return Picture(
        name, dict(source=name, stamp=_stamp(folder / name), world=world and _stamp(world))
    )


def settle_names(
    singles: Iterable[Picture], rasters: Sequence[tuple[Picture, Sequence[Picture]]]
) -> list[Picture]:
    """Refuse what would have the same name, or the same segments, as another picture.

    Args:
        singles (Iterable[Picture]): A file each.
        rasters (Sequence[tuple]): The file and its tiles. A raster is refused as a whole, and
            plain pictures come first, whatever the order of the names.

    Returns:
        list[Picture]: By name, each name once.
    """
    taken: dict[str, str] = {}
    found: dict[str, Picture] = {}
    for picture in sorted(singles, key=lambda one: ('refused' in one.fields, one.name)):
        other = (
            None
            if 'refused' in picture.fields
            else taken.setdefault(stem_of(picture.name), picture.name)
        )
        found.setdefault(
            picture.name,
            picture
            if other in (None, picture.name)
            else _refuse(picture, 'same name as another picture', other),
        )
    plain = set(found)
    for source, tiles in rasters:
        stems = [stem_of(tile.name) for tile in tiles]
        other = next((taken[stem] for stem in stems if stem in taken), None)
        if other is None and stem_of(source.name) in plain:
            other = stem_of(source.name)  # a file cannot be a folder of tiles as well
        if other is not None:
            tiles = [_refuse(source, 'same names of tiles as of another picture', other)]
        else:
            taken.update((stem, source.name) for stem in stems)
        found.update((tile.name, tile) for tile in tiles)
    return [found[name] for name in sorted(found)]


def stem_of(name: str) -> str:
    """What the picture and its segments have in common.

    Args:
        name (str): Of a picture.

    Returns:
        str: Without the suffix.
    """
    return Path(name).with_suffix('').as_posix()


def _refuse(picture: Picture, reason: str, other: str) -> Picture:
    return picture.plus(dict(refused=reason, same_as=other))


def _stamp(path: Path) -> str:
    """Tells a changed file; one that is gone or closed shows when it is to be read."""
    try:
        state = path.stat()
    except OSError:
        return ''
    return f'{state.st_size}-{state.st_mtime_ns}'
