"""Images that clients upload: decoded in a process of their own, kept for a while, named by id."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np

from urbancross_mm.serving.limits import Limits, RefusedError
from urbancross_mm.serving.worker_pool import LOOK_SECONDS, Stop

# A decoder can take minutes and gigabytes for a few bytes, and a thread cannot be ended.
DECODER = [sys.executable, '-m', 'urbancross_mm.serving.decode_upload']
CLONE = str(Path(__file__).resolve().parents[2])


class Uploads:
    """Decoded uploads by id; the ones asked for longest ago go first.

    Args:
        limits (Limits): Of bytes, pixels, seconds and memory.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._images: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, content: bytes, stop: Stop | None = None) -> str:
        """Decode and keep an image.

        Args:
            content (bytes): The file.
            stop (Stop, optional): Ends the decoding. Defaults to None.

        Returns:
            str: Its id.

        Raises:
            RefusedError: If it is too large (413) or no image that can be decoded in time (422).
            StoppedError: If nobody waits any more.
        """
        if len(content) > self._limits.upload_bytes:
            raise RefusedError(
                413, f'the image has {len(content)} bytes, more than {self._limits.upload_bytes}'
            )
        name = hashlib.sha256(content).hexdigest()[:32]
        with self._lock:
            known = name in self._images
        if not known:
            image = decode(content, self._limits, stop or Stop())
            with self._lock:
                self._images[name] = image
                self._drop_old()
        return name

    def get(self, name: str) -> np.ndarray:
        """An upload by id.

        Args:
            name (str): The id.

        Shape:
            - output: ``(H, W, 3)``.

        Returns:
            np.ndarray: uint8 RGB.

        Raises:
            RefusedError: If it is not kept, or no longer (410).
        """
        with self._lock:
            if name in self._images:
                self._images.move_to_end(name)
                return self._images[name]
        raise RefusedError(410, f'the uploaded image {name[:40]!r} is not kept: upload it again')

    def _drop_old(self) -> None:
        """The newest stays, whatever its size."""
        while (
            len(self._images) > 1
            and sum(image.nbytes for image in self._images.values()) > self._limits.upload_memory
        ):
            self._images.popitem(last=False)


def decode(content: bytes, limits: Limits, stop: Stop) -> np.ndarray:
    """Decode an image in a process that is ended when it takes too long, or nobody waits.

    Args:
        content (bytes): The file.
        limits (Limits): Of pixels and seconds.
        stop (Stop): Looked at while the process works.

    Shape:
        - output: ``(H, W, 3)``.

    Returns:
        np.ndarray: uint8 RGB.

    Raises:
        RefusedError: If it cannot be decoded within the limits (413 or 422).
        StoppedError: If nobody waits any more.
    """
    command = [*DECODER, str(limits.upload_pixels), str(int(limits.decode_seconds) + 1)]
    written = _written_by(command, content, limits.decode_seconds, stop)
    head, _, pixels = written.partition(b'\n')
    kind, _, rest = head.decode('utf-8', 'replace').partition(' ')
    if kind == 'image':
        height, width = map(int, rest.split())
        return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
    if kind == 'refused':
        status, _, sentence = rest.partition(' ')
        raise RefusedError(int(status), sentence)
    # Ended by the system: by its limit of memory or of seconds, or by a fault of a decoder.
    raise RefusedError(422, 'the image cannot be decoded with the memory and time it may take')


def _written_by(command: list[str], content: bytes, seconds: float, stop: Stop) -> bytes:
    """What a process writes that gets ``content``; ended after ``seconds``, or when stopped."""
    end = time.monotonic() + seconds
    # By a file: what goes through a pipe cannot be sent while this looks around.
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        with subprocess.Popen(
            command,
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, 'PYTHONPATH': CLONE},
        ) as process:
            try:
                while time.monotonic() < end:
                    stop.check()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        return process.communicate(timeout=LOOK_SECONDS)[0]
            finally:
                process.kill()
    raise RefusedError(422, f'the image is not decoded after {seconds:g} seconds')
