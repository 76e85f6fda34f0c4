"""Embeddings of many images, with what is needed to search and to trust them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from urbancross_mm.utils.files import check_archive_size
from urbancross_mm.utils.hashing import FileStamp
from urbancross_mm.utils.progress import map_threads

FORMAT = 'urbancross_mm.gallery/2'
EARLIER = 'urbancross_mm.gallery/1'
WORKERS = 8


@dataclass
class Gallery:
    """Embeddings, ids and metadata of N images, and the model that made them.

    Args:
        embeds (Tensor): Unit embeddings, float32 or float16.
        ids (list[str]): Id of each image, for instance its path.
        metadata (list[dict]): What to show with each image (lon, lat, domain, ...); values that
            JSON can hold. Defaults to [] (one empty dict an image).
        fingerprint (str): Names the weights and the pipeline that made the embeddings. Defaults
            to ''.
        folder (str): Folder below which the ids are paths; only what comes after it tells
            images apart. Defaults to '': the ids stand for themselves.
        stamps (list[FileStamp]): What each file was when it was encoded. Defaults to []: nobody
            knows.

    Shape:
        - embeds: ``(N, D)``.

    Raises:
        ValueError: If the numbers of embeddings, ids and metadata differ, an embedding is not
            finite, or a part is of another type.

    Examples:
        >>> gallery = Gallery(torch.eye(2), ['a.jpg', 'b.jpg'], fingerprint='model 1')
        >>> len(gallery), gallery.metadata
        (2, [{}, {}])
    """

    embeds: Tensor
    ids: list[str]
    metadata: list[dict[str, Any]] = field(default_factory=list)
    fingerprint: str = ''
    folder: str = ''
    stamps: list[FileStamp] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.embeds.dim() != 2 or not self.embeds.is_floating_point():
            raise ValueError(
                f'embeds must be floating of shape (N, D), got {self.embeds.dtype} of '
                f'shape {tuple(self.embeds.shape)}'
            )
        if not self.metadata:
            self.metadata = [{} for _ in self.ids]
        if not len(self.embeds) == len(self.ids) == len(self.metadata):
            raise ValueError(
                f'{len(self.embeds)} embeddings, {len(self.ids)} ids and '
                f'{len(self.metadata)} metadata records do not belong together'
            )
        if len(self.stamps) not in (0, len(self.ids)):
            raise ValueError(f'{len(self.stamps)} stamps for {len(self.ids)} ids')
        bad = (~self.embeds.isfinite().all(dim=1)).nonzero().flatten().tolist()
        if bad:
            raise ValueError(
                f'{len(bad)} of {len(self)} embeddings are not finite, the first is '
                f'that of {self.ids[bad[0]]}'
            )

    @property
    def names(self) -> list[str]:
        """list[str]: The ids without the folder."""
        prefix = str(Path(self.folder, 'x'))[:-1] if self.folder else ''
        return [one.removeprefix(prefix) for one in self.ids]

    def is_same(self, other: Gallery) -> bool:
        """Whether another gallery would be saved as the same file.

        Args:
            other (Gallery): The other one.

        Returns:
            bool: False if an image, its file, its metadata or the model is another.
        """
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ('fingerprint', 'folder', 'ids', 'stamps', 'metadata')
        )

    def changed_files(self) -> list[str]:
        """Find the files that have another content than when they were encoded.

        Files that are not there are no matter: a gallery is searched without its images.

        Returns:
            list[str]: Their ids.

        Raises:
            OSError: If one cannot be read.
        """

        def has_changed(one: tuple[str, FileStamp]) -> bool:
            path, stamp = one
            return Path(path).is_file() and stamp.renewed(path) is None

        known = list(zip(self.ids, self.stamps))
        return [
            path
            for (path, _), changed in zip(known, map_threads(has_changed, known, WORKERS))
            if changed
        ]

    def __len__(self) -> int:
        return len(self.ids)

    def check_fingerprint(self, expected: str) -> None:
        """Refuse a gallery that another model or pipeline made.

        Args:
            expected (str): Fingerprint of the model that is about to search.

        Raises:
            ValueError: If it is not the gallery's own.
        """
        if self.fingerprint != expected:
            raise ValueError(
                'stale gallery: another model, checkpoint or pipeline made it '
                f'({self.fingerprint[:8]}, now {expected[:8]}): remove the file or '
                'name another one, and it is built again'
            )

    def save(self, path: str | Path) -> None:
        """Write one file; readers see the old file or the new one, never a part.

        Args:
            path (str | Path): Where to.

        Raises:
            ValueError: If the metadata hold something that JSON cannot.
            OSError: If the disk refuses.
        """
        try:
            metadata = json.dumps(self.metadata, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f'gallery metadata must be plain JSON values: {error}') from error
        content = dict(
            format=FORMAT,
            embeds=self.embeds.detach().cpu().clone(),
            ids=self.ids,
            metadata=metadata,
            fingerprint=self.fingerprint,
            folder=self.folder,
            stamps=[tuple(stamp) for stamp in self.stamps],
        )
        with _replacing(Path(path)) as partial:
            torch.save(content, partial)

    @classmethod
    def load(cls, path: str | Path) -> Gallery:
        """Read a gallery; nothing in the file is executed.

        Args:
            path (str | Path): A file that :meth:`save` wrote.

        Returns:
            Gallery: On the CPU.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no gallery.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f'no gallery at {str(path)!r}')
        check_archive_size(path, 'the gallery')
        try:
            content = torch.load(path, map_location='cpu', weights_only=True)
        except Exception as error:
            # torch raises half a dozen types on a foreign or cut file, and advises to unpickle it.
            raise ValueError(f'{str(path)!r} is no gallery or is damaged') from error
        found = content.get('format') if isinstance(content, dict) else None
        if found == EARLIER:
            raise ValueError(
                f'the gallery {str(path)!r} is of an earlier version, which does not '
                'know whether its images have changed: delete it and build it '
                'again'
            )
        if found != FORMAT:
            raise ValueError(f'{str(path)!r} is no gallery of format {FORMAT!r}')
        try:
            return cls._of_content(content)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            missing = 'it lacks ' if isinstance(error, KeyError) else ''
            what = str(error).partition('\n')[0][:200]  # torch adds pages of advice
            raise ValueError(
                f'{str(path)!r} is no gallery or is damaged: {missing}{what}'
            ) from error

    @classmethod
    def _of_content(cls, content: dict[str, Any]) -> Gallery:
        """Check the types that no tensor operation checks, and build it."""
        parts = dict(
            content,
            metadata=json.loads(content['metadata']),
            stamps=[FileStamp(*stamp) for stamp in content['stamps']],
        )
        del parts['format']
        for name, kind in (('ids', str), ('metadata', dict)):
            if not isinstance(parts[name], list) or not all(
                isinstance(one, kind) for one in parts[name]
            ):
                raise ValueError(f'{name} must be a list of {kind.__name__}')
        for name in ('fingerprint', 'folder'):
            if not isinstance(parts[name], str):
                raise ValueError(f'{name} must be a str, got {type(parts[name]).__name__}')
        if not isinstance(parts['embeds'], Tensor):
            raise ValueError(f'embeds must be a tensor, got {type(parts["embeds"]).__name__}')
        if (
            parts['embeds'].numel() * parts['embeds'].itemsize
            > parts['embeds'].untyped_storage().nbytes()
        ):
            raise ValueError('embeds are larger than what the file holds')
        return cls(**parts)


@contextmanager
def _replacing(path: Path) -> Iterator[str]:
    """Give a file beside ``path`` to write to, and move it there once it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=f'.{path.name}.', suffix='.part', dir=path.parent)
    os.close(handle)
    try:
        yield partial
        with open(partial, 'rb') as file:
            os.fsync(file.fileno())
        os.chmod(partial, 0o666 & ~_umask())
        os.replace(partial, path)
    finally:
        Path(partial).unlink(missing_ok=True)


def _umask() -> int:
    # There is no way to read it without setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
