"""Integer ids that are the same in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable

from urbancross_mm.utils.file_stamp import same_image


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


def check_image_ids(images: Iterable[tuple[Hashable, str | None]]) -> None:
    """Refuse an id that two images share: whatever joins by id would mix them up.

    Args:
        images (Iterable[tuple[Hashable, str | None]]): Id and path of each image. The same image,
            or a copy of its file, may come again, as padding does; an image without a path is not
            compared.

    Raises:
        ValueError: If one id comes with two paths.
    """
    paths: dict[Hashable, str] = {}
    for img_id, path in images:
        known = paths.setdefault(img_id, path) if path else None
        if known and path and not same_image(known, path):
            raise ValueError(
                f'two images have the img_id {img_id!r}, {known} and {path}: ids must '
                'be unique over all annotation files that are loaded together'
            )
