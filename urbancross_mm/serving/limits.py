"""What a client may ask for, and the errors that say so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds on what one client can make the server do.

    Attributes:
        body_bytes (int): Of a request without an upload. Defaults to 1 MiB.
        body_seconds (float): Time to send a request. Defaults to 120.
        uploads (int): Requests with an upload at once; a further one is refused. Defaults to 4.
        upload_bytes (int): Of an uploaded file. Defaults to 20 MiB.
        upload_pixels (int): Of an uploaded image. Defaults to 40 million.
        decode_seconds (float): Time to decode an upload. Defaults to 10.
        upload_memory (int): Bytes of decoded uploads that are kept. Defaults to 256 MiB.
        threads (int): Queries that are worked on at once. Defaults to 2.
        waiting (int): Queries that may wait; a further one is refused. Defaults to 32.
    """

    body_bytes: int = 1 << 20
    body_seconds: float = 120.0
    uploads: int = 4
    upload_bytes: int = 20 << 20
    upload_pixels: int = 40_000_000
    decode_seconds: float = 10.0
    upload_memory: int = 256 << 20
    threads: int = 2
    waiting: int = 32


class RefusedError(Exception):
    """A request that is refused with a status and one sentence.

    Args:
        status (int): HTTP status.
        sentence (str): What is wrong, with the value received.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
