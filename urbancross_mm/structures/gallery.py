"""Embeddings of many images, with what a search needs to use and trust them."""

from __future__ import annotations

import json
import os
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
        embeds (Tensor): Unit embeddings, float32 or float16; of a model that scores pairs what
            it reads of an image.
        ids (list[str]): Id of each image, for instance its path.
        metadata (list[dict]): What to show with each image (lon, lat, domain, ...), as values that
            JSON can hold. Defaults to [] (one empty dict per image).
        fingerprint (str): Names the weights and the pipeline that made the embeddings. Defaults
            to ''.
        folder (str): Folder below which the ids are paths. Images are known by the rest of
            the path. Defaults to '': by the whole id.
        stamps (list[FileStamp]): What each file was when it was encoded. Defaults to []: unknown.

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
        return [image_id.removeprefix(prefix) for image_id in self.ids]

    def is_same(self, other: Gallery) -> bool:
        """Whether another gallery would be saved as the same file.

        Args:
            other (Gallery): The other one.

        Returns:
            bool: False if an image, its file, its metadata or the model differs.
        """
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ('fingerprint', 'folder', 'ids', 'stamps', 'metadata')
        )

    def changed_files(self) -> list[str]:
        """Find the files whose content has changed since they were encoded.

        Missing files do not count: a gallery can be searched without its images.

        Returns:
            list[str]: Their ids.

        Raises:
            OSError: If one cannot be read.
        """

        def changed(index: int) -> bool:
            path, stamp = self.ids[index], self.stamps[index]
            return Path(path).is_file() and stamp.renewed(path) is None

        flags = map_threads(changed, range(len(self.stamps)), WORKERS)
        return [path for path, flag in zip(self.ids, flags) if flag]

    def __len__(self) -> int:
        return len(self.ids)

    def check_fingerprint(self, expected: str) -> None:
        """Refuse a gallery of another model or pipeline.

        Args:
            expected (str): Fingerprint of the model that is about to search.

        Raises:
            ValueError: If the gallery has another one.
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
            path (str | Path): The file.

        Raises:
            ValueError: If JSON cannot hold the metadata.
            OSError: If the file cannot be written.
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
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not atomic_write: it would need the whole file in memory.
        partial = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
        try:
            torch.save(content, partial)
            with open(partial, 'rb') as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> Gallery:
        """Read a gallery; nothing in the file is executed.

        Args:
            path (str | Path): A file that :meth:`save` wrote.

        Returns:
            Gallery: On the CPU.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is not a gallery.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f'no gallery at {str(path)!r}')
        check_archive_size(path, 'the gallery')
        try:
            content = torch.load(path, map_location='cpu', weights_only=True)
        except Exception as error:
            # torch raises half a dozen types on a foreign or cut file, and advises to unpickle it.
            raise ValueError(f'{str(path)!r} is not a gallery, or is damaged') from error
        file_format = content.get('format') if isinstance(content, dict) else None
        if file_format == EARLIER:
            raise ValueError(
                f'the gallery {str(path)!r} has the format of an earlier version, which does not '
                'know whether its images have changed: delete it and build it again'
            )
        if file_format != FORMAT:
            raise ValueError(f'{str(path)!r} is not a gallery of format {FORMAT!r}')
        try:
            return cls._of_content(content)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            missing = 'it lacks ' if isinstance(error, KeyError) else ''
            what = str(error).partition('\n')[0][:200]  # torch adds pages of advice
            raise ValueError(
                f'{str(path)!r} is not a gallery, or is damaged: {missing}{what}'
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
                isinstance(value, kind) for value in parts[name]
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
