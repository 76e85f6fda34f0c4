"""Files of tiles: which files become images and under which names, and how they are read."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from urbancross_mm.curation.core.records import ImageRecord
from urbancross_mm.geo.positions import world_file_of
from urbancross_mm.utils.hashing import quick_stamp
from urbancross_mm.utils.image_files import UNWRITABLE, is_writable, list_image_files
from urbancross_mm.utils.images import read_image
from urbancross_mm.utils.paths import check_relative

# File systems allow 255 bytes, and names of temporary files are longer.
LONGEST_NAME = 230
# Errors that come from a damaged file; all others come from the disk.
_CONTENT = (errno.EINVAL, errno.EOVERFLOW)


def tile_names(folder: Path) -> list[str]:
    """Every image below a folder, also those whose name :func:`source_of` will refuse."""
    listing = list_image_files(folder)
    return sorted([*listing.names, *listing.unwritable])


def refuse_own_images(folder: Path, out: Path) -> None:
    """Refuse a link into the own output, by which every run would add the images of the last."""
    own = os.path.join(os.path.realpath(out), '')
    for name, real in list_image_files(folder).linked.items():
        if real.startswith(own):
            raise ValueError(
                f'{folder / name} lies in --out {out} by a link: every run would take '
                'the images of the last one for tiles'
            )


def refuse_tiles_among(folder: Path, images: Path, raster: str) -> None:
    """Refuse to write tiles of a raster below the folder that it comes from."""
    images = images.resolve()
    if folder.resolve() in (images, *images.parents):
        raise ValueError(
            f'the tiles of {raster} would lie among the input files: {images} must not be '
            f'below {folder}'
        )


def passed_over(folder: Path) -> str:
    """A remark on files that look like images but are ignored."""
    listing = list_image_files(folder)
    listing.passed_over.pop(UNWRITABLE, None)
    return listing.remark


def source_of(folder: Path, name: str) -> ImageRecord:
    """A file as an image record.

    It has ``source``, ``stamp`` and ``world`` (the stamp of its world file), or ``refused``.
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
    stamps = dict(stamp=quick_stamp(folder / name), world=world and quick_stamp(world))
    return ImageRecord(name, dict(source=name, **stamps))


def settle_names(
    singles: Iterable[ImageRecord], rasters: Sequence[tuple[ImageRecord, Sequence[ImageRecord]]]
) -> list[ImageRecord]:
    """Refuse images that would have the same name, or the same segments, as another one.

    Plain images come first, and a raster is refused as a whole.
    """
    taken: dict[str, str] = {}
    images: dict[str, ImageRecord] = {}
    for image in sorted(singles, key=lambda single: ('refused' in single.fields, single.name)):
        other = (
            None if 'refused' in image.fields else taken.setdefault(stem_of(image.name), image.name)
        )
        images.setdefault(
            image.name,
            image
            if other in (None, image.name)
            else _refuse(image, 'same name as another image', other),
        )
    plain = set(images)
    for source, tiles in rasters:
        stems = [stem_of(tile.name) for tile in tiles]
        other = next((taken[stem] for stem in stems if stem in taken), None)
        if other is None and stem_of(source.name) in plain:
            other = stem_of(source.name)  # a file cannot be a folder of tiles as well
        if other is not None:
            tiles = [_refuse(source, 'same names of tiles as of another image', other)]
        else:
            taken.update((stem, source.name) for stem in stems)
        images.update((tile.name, tile) for tile in tiles)
    return [images[name] for name in sorted(images)]


def stem_of(name: str) -> str:
    """The name without its suffix, which an image shares with its segments."""
    return Path(name).with_suffix('').as_posix()


def _refuse(image: ImageRecord, reason: str, other: str) -> ImageRecord:
    return image.plus(dict(refused=reason, same_as=other))


def decode(path: Path) -> np.ndarray:
    """Decode an image completely. Errors of its content do not name the file."""
    try:
        return read_image(str(path))[0]
    except FileNotFoundError:
        raise
    except ValueError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno is not None and cause.errno not in _CONTENT:
            raise cause from None
        raise ValueError(without_file(str(error), path)) from error


def is_blank(pixels: np.ndarray) -> bool:
    """Whether an image has one color only, as the border of a raster without nodata value."""
    return bool((pixels == pixels[0, 0]).all())


def without_file(message: str, path: Path) -> str:
    """A message without file name and byte counts, so that equal errors of files are equal."""
    for part in (f'image {path} ', f' {str(path)!r}', f' {path}'):
        message = message.replace(part, '')
    return re.sub(r' \(\d+[^()]*\)', '', message)


def link_file(path: Path, target: Path) -> None:
    """Hard-link a file to a new name, or copy it where the disk has no links."""
    if target.exists() and os.path.samefile(path, target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f'.{target.name}.{os.getpid()}.tmp')
    temporary.unlink(missing_ok=True)  # of a killed run
    try:
        try:
            os.link(path.resolve(), temporary)
        except OSError:
            shutil.copyfile(path, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def content_hash(content: bytes) -> str:
    """Hash of the content of a file, 32 hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
