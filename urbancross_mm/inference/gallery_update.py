"""From images to a gallery, with what an earlier gallery already knows of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from urbancross_mm.inference.image_files import ImageSet
from urbancross_mm.structures import Gallery
from urbancross_mm.utils.hashing import FileStamp
from urbancross_mm.utils.progress import map_threads

WORKERS = 8


class Encoded(NamedTuple):
    """Images that were encoded: their places in an :class:`ImageSet`, rows and stamps."""

    places: list[int]
    embeds: Tensor
    stamps: list[FileStamp]


@dataclass
class Reuse:
    """What an earlier gallery knows of the images.

    An image is known by its path below the folder, wherever the folder lies, and still holds if
    the content of its file is the same.

    Args:
        images (ImageSet): The images as they are now.
        gallery (Gallery, optional): The earlier gallery. Defaults to None.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If the gallery has none of the images: it is another folder's, and shall not be
            lost by a mistyped name.
    """

    images: ImageSet
    gallery: Gallery | None = None
    known: dict[int, int] = field(default_factory=dict, init=False)
    stamps: dict[int, FileStamp] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self.gallery is None:
            return
        rows = {name: row for row, name in enumerate(self.gallery.names)}
        self.known = {
            place: rows[name] for place, name in enumerate(self.images.names) if name in rows
        }
        if rows and not self.known:
            raise ValueError(
                f'the gallery was built from other images than {self.images.folder or "the list"}'
                f' holds now: none of its {len(rows)}, such as {next(iter(rows))}, is among them; '
                'delete it or name another'
            )
        if self.gallery.stamps:
            found = zip(self.known, map_threads(self._renewed, list(self.known), WORKERS))
            self.stamps = {place: stamp for place, stamp in found if stamp is not None}

    @property
    def missing(self) -> list[int]:
        """Places of the images that are to be encoded."""
        return [place for place in range(len(self.images.paths)) if place not in self.stamps]

    @property
    def remark(self) -> str:
        """How the images differ from the gallery, as a sentence; '' if they do not."""
        if self.gallery is None:
            return ''
        total, missing = len(self.images.paths), len(self.missing)
        new, gone = total - len(self.known), len(self.gallery) - len(set(self.known.values()))
        if not missing and not gone:
            return ''
        return (
            f'since the gallery was built, {new} of {total} images are new, {missing - new} '
            f'have changed and {gone} are gone: {missing} are encoded'
        )

    def build(
        self, encoded: Encoded, metadata: Sequence[Mapping[str, Any]] | None, fingerprint: str
    ) -> Gallery:
        """Put together what was encoded now and what was before.

        Args:
            encoded (Encoded): Of the missing images those that could be read.
            metadata (Sequence[Mapping], optional): Of every image; None keeps what is known.
            fingerprint (str): Of the model.

        Returns:
            Gallery: In the order of the images.
        """
        places, embeds, stamps = encoded
        if self.gallery is not None and self.stamps:
            rows = torch.tensor([self.known[place] for place in self.stamps])
            embeds = (
                torch.cat([embeds, self.gallery.embeds[rows].float()])
                if places
                else self.gallery.embeds[rows]
            )
        places = [*places, *self.stamps]
        stamps = [*stamps, *self.stamps.values()]
        order = sorted(range(len(places)), key=places.__getitem__)
        places = [places[one] for one in order]
        paths = [self.images.paths[place] for place in places]
        records = [
            dict(metadata[place] if metadata is not None else self._recorded(place), img_path=path)
            for place, path in zip(places, paths)
        ]
        return Gallery(
            embeds[torch.tensor(order)],
            paths,
            records,
            fingerprint,
            self.images.folder,
            [stamps[one] for one in order],
        )

    def _renewed(self, place: int) -> FileStamp | None:
        return self.gallery.stamps[self.known[place]].renewed(self.images.paths[place])

    def _recorded(self, place: int) -> Mapping[str, Any]:
        return self.gallery.metadata[self.known[place]] if place in self.known else {}


def encode_files(
    loader: DataLoader, encode: Callable[[Any], Tensor], places: Sequence[int], progress: bool
) -> Encoded:
    """Encode every image that can be read.

    Args:
        loader (DataLoader): Over :class:`ImageFiles`, collated by ``collate_images``.
        encode (Callable): Of a batch.
        places (Sequence[int]): Of the images of the loader.
        progress (bool): Show a progress bar.

    Returns:
        Encoded: Without the images that are left out.
    """
    encoded, embeds = Encoded([], torch.empty(0, 0), []), []
    bar = tqdm(
        total=len(places),
        desc='encode images',
        unit='image',
        disable=not progress or not places,
    )
    with bar:  # closed before an error is printed
        for kept, stamps, batch in loader:
            if kept:
                embeds.append(encode(batch))
                encoded.places.extend(places[one] for one in kept)
                encoded.stamps.extend(stamps)
            bar.update(min(loader.batch_size or 1, len(places) - bar.n))
    return encoded._replace(embeds=torch.cat(embeds)) if embeds else encoded
