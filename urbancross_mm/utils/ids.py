"""Integer ids that are the same in every process, and the check that ids are unique."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from urbancross_mm.utils.hashing import same_image

T = TypeVar('T')


def stable_id(text: str) -> int:
    """Hash a string to a non-negative 63-bit integer, equal in every process and dataset.

    Python's own ``hash`` is salted per process, so it cannot tell ranks that two captions are
    equal. 63 bits fit a ``torch.long``; among a million texts a collision has odds of 5e-8.

    Args:
        text (str): An image id or a caption.

    Returns:
        int: In ``[0, 2**63)``.
    """
    digest = hashlib.blake2b(text.encode('utf-8'), digest_size=8).digest()
    return int.from_bytes(digest, 'big') >> 1


class IdRegister(Generic[T]):
    """Remembers what each id stands for. Every check that ids are unique goes through it.

    Args:
        same (Callable | None): Whether two things of one id are the same thing. Defaults to None:
            an id may be used once.
    """

    def __init__(self, same: Callable[[T, T], bool] | None = None) -> None:
        self._same = same
        self._first: dict[Hashable, T] = {}

    def clash(self, key: Hashable, thing: T) -> T | None:
        """Note an id.

        Args:
            key (Hashable): The id.
            thing (T): What it stands for; not None.

        Returns:
            T | None: What the id stood for before, if that is another thing.
        """
        if key not in self._first:
            self._first[key] = thing
            return None
        first = self._first[key]
        return None if self._same is not None and self._same(first, thing) else first


def check_image_ids(images: Iterable[tuple[Hashable, str | None]]) -> None:
    """Refuse an id that two images share: whatever joins by id would mix them up.

    Args:
        images (Iterable[tuple[Hashable, str | None]]): Id and path of each image. The same image,
            or a copy of its file, may come again, as padding does; an image without a path is not
            compared.

    Raises:
        ValueError: If one id comes with two paths.
    """
    register = IdRegister(same_image)
    for img_id, path in images:
        first = register.clash(img_id, path) if path else None
        if first is not None:
            raise ValueError(
                f'two images have the img_id {img_id!r}, {first} and {path}: ids must '
                'be unique over all annotation files that are loaded together'
            )
