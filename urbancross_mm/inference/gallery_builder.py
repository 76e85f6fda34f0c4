"""From images to a gallery, with what an earlier gallery already knows of them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.image_files import EncodedFiles, ImageSet, find_images
from urbancross_mm.structures import Gallery
from urbancross_mm.utils.hashing import FileStamp
from urbancross_mm.utils.progress import map_threads

WORKERS = 8
# Images that a message names at most.
SHOWN = 3


class GalleryBuilder:
    """Puts a gallery together, and reuses what an earlier one holds.

    An image is known by its path below the folder, wherever the folder lies. Its row is reused if
    the content of its file is the same.

    Args:
        images (ImageSet): The images as they are now.
        gallery (Gallery, optional): The earlier gallery. Defaults to None.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If the gallery has none of the images. It belongs to another folder, and a
            mistyped name must not replace it.
    """

    def __init__(self, images: ImageSet, gallery: Gallery | None = None) -> None:
        self.images = images
        self.gallery = gallery
        # By position of an image: its row in the earlier gallery, and its stamp if unchanged.
        self.rows: dict[int, int] = {}
        self.stamps: dict[int, FileStamp] = {}
        if gallery is not None:
            self._match(gallery)
        self.missing = [i for i in range(len(images.paths)) if i not in self.stamps]

    def _match(self, gallery: Gallery) -> None:
        """Find the images that the gallery has, and of these the unchanged ones."""
        rows = {name: row for row, name in enumerate(gallery.names)}
        self.rows = {i: rows[name] for i, name in enumerate(self.images.names) if name in rows}
        if rows and not self.rows:
            raise ValueError(
                f'the gallery was built from other images than {self.images.folder or "the list"} '
                f'holds now: none of its {len(rows)}, such as {next(iter(rows))}, is among them; '
                'delete it or name another'
            )
        if gallery.stamps:
            paths, stamps = self.images.paths, gallery.stamps
            renewed = map_threads(
                lambda i: stamps[self.rows[i]].renewed(paths[i]), list(self.rows), WORKERS
            )
            self.stamps = {i: stamp for i, stamp in zip(self.rows, renewed) if stamp is not None}

    @property
    def remark(self) -> str:
        """How the images differ from the gallery, as a sentence; '' if they do not."""
        if self.gallery is None:
            return ''
        total, missing = len(self.images.paths), len(self.missing)
        new, gone = total - len(self.rows), len(self.gallery) - len(set(self.rows.values()))
        if not missing and not gone:
            return ''
        return (
            f'since the gallery was built, {new} of {total} images are new, {missing - new} '
            f'have changed and {gone} are gone: {missing} are encoded'
        )

    def build(
        self,
        encoded: EncodedFiles,
        metadata: Sequence[Mapping[str, Any]] | None,
        fingerprint: str,
    ) -> Gallery:
        """Join what was encoded now with what was encoded before.

        Args:
            encoded (EncodedFiles): Of the paths of ``missing``, in their order.
            metadata (Sequence[Mapping], optional): Of every image; None keeps the gallery's.
            fingerprint (str): Of the model.

        Returns:
            Gallery: In the order of the images.
        """
        positions = [self.missing[i] for i in encoded.positions]
        embeds, stamps = encoded.embeds, dict(zip(positions, encoded.stamps))
        if self.gallery is not None and self.stamps:
            kept = self.gallery.embeds[torch.tensor([self.rows[i] for i in self.stamps])]
            embeds = torch.cat([embeds, kept.float()]) if positions else kept
        positions += self.stamps
        stamps |= self.stamps
        order = torch.tensor(positions, dtype=torch.long).argsort()
        positions.sort()
        paths = [self.images.paths[i] for i in positions]
        known = [self._known_metadata(i) if metadata is None else metadata[i] for i in positions]
        return Gallery(
            embeds[order],
            paths,
            [dict(record, img_path=path) for record, path in zip(known, paths)],
            fingerprint,
            self.images.folder,
            [stamps[i] for i in positions],
        )

    def _known_metadata(self, position: int) -> Mapping[str, Any]:
        if self.gallery is None or position not in self.rows:
            return {}
        return self.gallery.metadata[self.rows[position]]


def build_gallery(
    embedder: Embedder,
    images: str | Path | Sequence[str | Path],
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
    skip_bad: bool = False,
    progress: bool = True,
    gallery: Gallery | None = None,
) -> Gallery:
    """Encode images, each once; see :meth:`RetrievalInferencer.build_index`.

    Args:
        embedder (Embedder): The model.
        images (str | Path | Sequence): A folder, or paths.
        metadata (Mapping, optional): What is known of images. Defaults to None.
        skip_bad (bool): Leave out images that cannot be read. Defaults to False.
        progress (bool): Show a progress bar. Defaults to True.
        gallery (Gallery, optional): An earlier gallery of these images. Defaults to None.

    Returns:
        Gallery: In the order of the images.

    Raises:
        FileNotFoundError: If the folder does not exist or holds no image.
        ValueError: If an image cannot be read and ``skip_bad`` is off, or metadata or gallery do
            not fit.
    """
    image_set = find_images(images)
    records = None
    if metadata is not None:
        records = join_metadata(metadata, image_set.names, image_set.folder)
    if gallery is not None:
        gallery.check_fingerprint(embedder.fingerprint)
    builder = GalleryBuilder(image_set, gallery)
    for remark in filter(None, (image_set.remark, builder.remark)):
        print(remark)
    total, missing = len(image_set.paths), [image_set.paths[i] for i in builder.missing]
    encoded = embedder.encode_files(missing, skip_bad=skip_bad, progress=progress)
    left_out = len(missing) - len(encoded.positions)
    if left_out == total:
        raise ValueError(f'none of the {total} images could be read')
    if left_out:
        print(f'{left_out} of {total} images could not be read and were left out')
    return builder.build(encoded, records, embedder.fingerprint)


def join_metadata(
    metadata: Mapping[str, Mapping[str, Any]], names: Sequence[str], folder: str = ''
) -> list[dict[str, Any]]:
    """Give every image its metadata.

    Args:
        metadata (Mapping): By the path below the folder (``'oulu/t_1.jpg'``), by an absolute path
            in it, or by the bare file name where only one image has it.
        names (Sequence[str]): Of the images, below the folder; paths if there is no folder.
        folder (str): Defaults to '': the images are paths of their own.

    Returns:
        list[dict]: One per image, empty where nothing is known.

    Raises:
        ValueError: If a key fits no image, several, or one that another key fits as well, or its
            value is not a mapping.
    """
    if not isinstance(metadata, Mapping):
        raise ValueError(
            f'metadata must map images to what is known of them, got {type(metadata).__name__}'
        )
    if not names:
        return []
    find = NameFinder(names, folder)
    joined: dict[str, tuple[str, Mapping[str, Any]]] = {}
    unknown = [key for key in metadata if not find(key)]
    if unknown:
        where = f'below {folder}' if folder else 'given'
        raise ValueError(
            f'{len(unknown)} of {len(metadata)} metadata keys fit no image {where}, '
            f'such as {unknown[0]!r}: a key is a path below the folder, like {names[0]!r}'
        )
    for key, values in metadata.items():
        (name, *others) = find(key)
        if others:
            raise ValueError(
                f'the metadata key {key!r} fits {len(others) + 1} images ('
                f'{", ".join([name, *others][:SHOWN])}): use their paths'
            )
        if not isinstance(values, Mapping):
            raise ValueError(f'metadata of {key!r} must be a mapping, got {values!r:.80}')
        if name in joined:
            raise ValueError(f'the metadata keys {joined[name][0]!r} and {key!r} both mean {name}')
        joined[name] = key, values
    return [dict(joined[name][1]) if name in joined else {} for name in names]


class NameFinder:
    """Names that a key may mean: the path itself before a bare file name."""

    def __init__(self, names: Sequence[str], folder: str) -> None:
        self.folder = folder
        self.names = {os.path.normpath(name): name for name in names}
        self.bare: dict[str, list[str]] = defaultdict(list)
        for name in dict.fromkeys(names):
            self.bare[os.path.basename(name)].append(name)

    def __call__(self, key: object) -> list[str]:
        if not isinstance(key, str | Path):
            return []
        path = os.path.normpath(key)
        for candidate in (path, *self._below(path)):
            if candidate in self.names:
                return [self.names[candidate]]
        return self.bare.get(path, []) if os.path.basename(path) == path else []

    def _below(self, path: str) -> list[str]:
        """A path that begins with the folder, or an absolute one, as seen from the folder."""
        inside = path.startswith(f'{os.path.normpath(self.folder)}{os.sep}')
        if not self.folder or not (inside or os.path.isabs(path)):
            return []
        real = os.path.realpath(self.folder)
        return [
            os.path.relpath(path, self.folder),
            os.path.relpath(path, real),
            os.path.relpath(os.path.realpath(path), real),
        ]
