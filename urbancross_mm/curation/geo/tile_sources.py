"""Which files become images, and under which names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from urbancross_mm.curation.core.records import ImageRecord
from urbancross_mm.curation.geo.positions import world_file_of
from urbancross_mm.utils.image_files import UNWRITABLE, is_writable, list_image_files
from urbancross_mm.utils.paths import check_relative

# File systems allow 255, and names of temporary files are longer.
LONGEST_NAME = 230


def tile_names(folder: Path) -> list[str]:
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


def refuse_own_images(folder: Path, out: Path) -> None:
    """Refuse a folder with a link into the dataset that is made from it.

    Args:
        folder (Path): ``--in``.
        out (Path): ``--out``.

    Raises:
        ValueError: If there is one: every run would add the images of the last one.
    """
    own = os.path.join(os.path.realpath(out), '')
    for name, real in list_image_files(folder).linked.items():
        if real.startswith(own):
            raise ValueError(
                f'{folder / name} lies in --out {out} by a link: every run would take '
                'the images of the last one for tiles'
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


def source_of(folder: Path, name: str) -> ImageRecord:
    """A file as an image: what its outcome depends on, or why it cannot be one.

    Args:
        folder (Path): Where it lies.
        name (str): Relative path.

    Returns:
        ImageRecord: With ``source``, ``stamp`` and ``world``, those of its world file; or
        ``refused``.
    """
    written = name.encode('utf-8', 'surrogateescape').decode('utf-8', 'backslashreplace')
    if written != name:
        return ImageRecord(written, dict(source=written, refused='its name is not UTF-8'))
    if max(len(part.encode()) for part in name.split('/')) > LONGEST_NAME:
        return ImageRecord(
            name, dict(source=name, refused=f'its name is longer than {LONGEST_NAME} bytes')
        )
    if not is_writable(name):
        return ImageRecord(name, dict(source=name, refused='its name has control characters'))
    try:
        check_relative(name)
    except ValueError:
        return ImageRecord(name, dict(source=name, refused='its name cannot stand in annotations'))
    world = world_file_of(folder / name)
    return ImageRecord(
        name, dict(source=name, stamp=_stamp(folder / name), world=world and _stamp(world))
    )


def settle_names(
    singles: Iterable[ImageRecord], rasters: Sequence[tuple[ImageRecord, Sequence[ImageRecord]]]
) -> list[ImageRecord]:
    """Refuse what would have the same name, or the same segments, as another image.

    Args:
        singles (Iterable[ImageRecord]): A file each.
        rasters (Sequence[tuple]): The file and its tiles. A raster is refused as a whole, and
            plain images come first, whatever the order of the names.

    Returns:
        list[ImageRecord]: By name, each name once.
    """
    taken: dict[str, str] = {}
    found: dict[str, ImageRecord] = {}
    for image in sorted(singles, key=lambda one: ('refused' in one.fields, one.name)):
        other = (
            None if 'refused' in image.fields else taken.setdefault(stem_of(image.name), image.name)
        )
        found.setdefault(
            image.name,
            image
            if other in (None, image.name)
            else _refuse(image, 'same name as another image', other),
        )
    plain = set(found)
    for source, tiles in rasters:
        stems = [stem_of(tile.name) for tile in tiles]
        other = next((taken[stem] for stem in stems if stem in taken), None)
        if other is None and stem_of(source.name) in plain:
            other = stem_of(source.name)  # a file cannot be a folder of tiles as well
        if other is not None:
            tiles = [_refuse(source, 'same names of tiles as of another image', other)]
        else:
            taken.update((stem, source.name) for stem in stems)
        found.update((tile.name, tile) for tile in tiles)
    return [found[name] for name in sorted(found)]


def stem_of(name: str) -> str:
    """What the image and its segments have in common.

    Args:
        name (str): Of an image.

    Returns:
        str: Without the suffix.
    """
    return Path(name).with_suffix('').as_posix()


def _refuse(image: ImageRecord, reason: str, other: str) -> ImageRecord:
    return image.plus(dict(refused=reason, same_as=other))


def _stamp(path: Path) -> str:
    """Tells a changed file; one that is gone or closed shows when it is to be read."""
    try:
        state = path.stat()
    except OSError:
        return ''
    return f'{state.st_size}-{state.st_mtime_ns}'
