"""Integer ids that are the same in every process."""

from __future__ import annotations

import hashlib


def stable_id(text: str) -> int:
    """Hash a string to a non-negative 63-bit integer, equal in every process and data set.

    Python's own ``hash`` is salted per process, so it cannot tell ranks that two captions are
    equal. 63 bits fit a ``torch.long``; among a million texts a collision has odds of 5e-8.

    Args:
        text (str): An image id or a caption.

    Returns:
        int: In ``[0, 2**63)``.
    """
    digest = hashlib.blake2b(text.encode('utf-8'), digest_size=8).digest()
    return int.from_bytes(digest, 'big') >> 1
