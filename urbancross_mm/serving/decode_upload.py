"""Decodes the image on stdin: ``python -m urbancross_mm.serving.decode_upload PIXELS SECONDS``.

Writes ``image HEIGHT WIDTH`` and the RGB bytes to stdout, or ``refused STATUS SENTENCE``.
"""

from __future__ import annotations

import io
import sys

import numpy as np

from urbancross_mm.utils.images import open_image

BYTES_A_PIXEL, BASE_BYTES = 24, 1 << 30  # decoders hold several copies


def decode(content: bytes, most: int) -> bytes:
    """Decode an image, if its header names no more pixels than allowed.

    Args:
        content (bytes): The file.
        most (int): Pixels.

    Returns:
        bytes: What is written to stdout.
    """
    try:
        with open_image(io.BytesIO(content), 'that was uploaded') as image:
            if image.width * image.height > most:
                return (
                    f'refused 413 the image has {image.width} x {image.height} pixels, more '
                    f'than {most}'
                ).encode()
            pixels = np.array(image.convert('RGB'))
    except (ValueError, MemoryError) as error:
        sentence = ' '.join(str(error).split())
        # Pillow refuses what is more than twice its own bound before the size can be read here.
        status = 413 if 'decompression bomb' in sentence else 422
        return f'refused {status} {sentence}'.encode()
    return f'image {pixels.shape[0]} {pixels.shape[1]}\n'.encode() + pixels.tobytes()


def limit(pixels: int, seconds: int) -> None:
    """Let the system end this process if it takes more; where it has no such limits, without."""
    try:
        import resource
    except ImportError:
        return
    memory = BASE_BYTES + BYTES_A_PIXEL * pixels
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


if __name__ == '__main__':
    limit(int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.buffer.write(decode(sys.stdin.buffer.read(), int(sys.argv[1])))
