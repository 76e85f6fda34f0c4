"""Reading pictures from disk."""

from __future__ import annotations

import numpy as np
from PIL import Image

# Pixels of more than 8 bits. How to map them to 0..255 depends on the sensor.
DEEP_MODES = ('I', 'F')


def read_image(path: str, draft: int | None = None) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode a picture to RGB.

    Grey, palette, CMYK and YCbCr pictures are converted, an alpha channel is dropped, and an EXIF
    orientation is ignored: satellite tiles have none that means anything.

    Args:
        path (str): The file.
        draft (int | None): Let the JPEG decoder shrink the picture by 2, 4 or 8 as long as no side
            falls below this many pixels: faster for pictures much larger than the training size.
            Defaults to None.

    Shape:
        - output: ``(H, W, 3)``.

    Returns:
        tuple[np.ndarray, tuple[int, int]]: The uint8 picture, and the height and width that it
        has on disk.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded to the end or has more than 8 bits a channel.
    """
    try:
        with Image.open(path) as image:
            if image.mode.split(';')[0] in DEEP_MODES:
                raise ValueError(f'picture {path} has more than 8 bits a channel (mode '
                                 f'{image.mode}): rescale it to 8 bits first, the right range '
                                 'depends on the sensor')
            size = (image.height, image.width)
            if draft is not None:
                image.draft('RGB', (draft, draft))
            rgb = image if image.mode == 'RGB' else image.convert('RGB')
            return np.array(rgb), size
    except FileNotFoundError:
        raise FileNotFoundError(f'picture not found: {path}') from None
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        # PIL reports broken headers and truncated data by any of these.
        raise ValueError(f'picture {path} cannot be decoded: {error}') from error


def probe_image(path: str) -> str | None:
    """Find out whether a picture can be decoded, as cheaply as its format allows.

    Args:
        path (str): The file.

    Returns:
        str | None: What is wrong with it, or None.
    """
    try:
        # All the data is read; a JPEG is decoded at an eighth of its size.
        read_image(path, draft=1)
    except (FileNotFoundError, ValueError) as error:
        return str(error)
    return None
