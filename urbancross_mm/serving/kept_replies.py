"""Replies that a browser keeps, and asks each time whether they still hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from fastapi import Request, Response

from urbancross_mm.version import __version__


def kept_reply(
    request: Request, key: tuple[object, ...], media: str, make: Callable[[], bytes]
) -> Response:
    """A reply with a tag of what it is made of; empty (304) where the browser has it already.

    Args:
        request (Request): Names the tags that the browser has.
        key (tuple): What the content depends on, apart from the address.
        media (str): Type of the content.
        make (Callable): Makes the content, if need be.

    Returns:
        Response: The reply.
    """
    digest = hashlib.sha256(repr((__version__, key)).encode()).hexdigest()
    headers = {'Cache-Control': 'private, no-cache', 'ETag': f'"{digest[:32]}"'}
    known = request.headers.get('if-none-match', '').split(',')
    if headers['ETag'] in [tag.strip().removeprefix('W/') for tag in known]:
        return Response(status_code=304, headers=headers)
    return Response(make(), media_type=media, headers=headers)
