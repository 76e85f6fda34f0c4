"""Embeddings of many pictures, with what is needed to search and to trust them."""

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

FORMAT = 'urbancross_mm.gallery/1'


@dataclass
class Gallery:
    """Embeddings, ids and metadata of N pictures, and the model that made them.

    Args:
        embeds (Tensor): Unit embeddings, float32 or float16.
        ids (list[str]): Id of each picture, for instance its path.
        metadata (list[dict]): What to show with each picture (lon, lat, domain, ...); values that
            JSON can hold. Defaults to [] (one empty dict a picture).
        fingerprint (str): Names the weights and the pipeline that made the embeddings. Defaults
            to ''.

    Shape:
        - embeds: ``(N, D)``.

    Raises:
        ValueError: If the numbers of embeddings, ids and metadata differ.

    Examples:
        >>> gallery = Gallery(torch.eye(2), ['a.jpg', 'b.jpg'], fingerprint='model 1')
        >>> len(gallery), gallery.metadata
        (2, [{}, {}])
    """

    embeds: Tensor
    ids: list[str]
    metadata: list[dict[str, Any]] = field(default_factory=list)
    fingerprint: str = ''

    def __post_init__(self) -> None:
        if self.embeds.dim() != 2 or not self.embeds.is_floating_point():
            raise ValueError(f'embeds must be floating of shape (N, D), got {self.embeds.dtype} of '
                             f'shape {tuple(self.embeds.shape)}')
        if not self.metadata:
            self.metadata = [{} for _ in self.ids]
        if not len(self.embeds) == len(self.ids) == len(self.metadata):
            raise ValueError(f'{len(self.embeds)} embeddings, {len(self.ids)} ids and '
                             f'{len(self.metadata)} metadata records do not belong together')

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
            raise ValueError(f'stale gallery: it was made by {self.fingerprint!r}, the model at '
                             f'hand is {expected!r}; build the gallery again')

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
        content = dict(format=FORMAT, embeds=self.embeds.detach().cpu().clone(), ids=self.ids,
                       metadata=metadata, fingerprint=self.fingerprint)
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
        try:
            content = torch.load(path, map_location='cpu', weights_only=True)
        except Exception as error:  # torch raises half a dozen types on a foreign or cut file
            raise ValueError(f'{str(path)!r} is no gallery or is damaged: {error}') from error
        if not isinstance(content, dict) or content.get('format') != FORMAT:
            raise ValueError(f'{str(path)!r} is no gallery of format {FORMAT!r}')
        return cls(content['embeds'], content['ids'], json.loads(content['metadata']),
                   content['fingerprint'])


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
