"""Reading the segments of an image from disk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from urbancross_mm.registry import TRANSFORMS
from urbancross_mm.structures.segment_masks import best_first, decode_masks, read_sidecar
from urbancross_mm.utils.image_files import has_image_suffix, is_hidden
from urbancross_mm.utils.images import read_image

BITS_PER_PLANE = 16


@TRANSFORMS.register_module()
class LoadSegments(BaseTransform):
    """Read the masks of the best segments from the RLE sidecar into a bit field.

    Needs ``ori_shape`` and, if the image has segments, ``segments_path``. Adds

    - ``segment_bits`` (uint16, ``(h, w, P)``, ``P = ceil(K / 16)``): bit k of plane p is the mask
      of segment ``16 p + k``. h and w are the size the masks are stored at; the geometry
      transforms bring them to the size of the image. A nearest-neighbor move of the bit field
      is exact for all masks at once.
    - ``num_segments`` (int): how many there are, 1 to K, best score first (ties: larger area).
    - ``segment_fill`` (int): the bits of a pixel outside the image (see :class:`RandomRotate`).

    An image whose annotation names no sidecar, or whose sidecar lists no segment, gets one full
    mask, so its segment is the image itself. A named sidecar that is missing is an error.

    Args:
        num_segments (int): K, the most segments of an image. Defaults to 10.

    Raises:
        FileNotFoundError: If the sidecar is missing.
        ValueError: If it is malformed, or its masks are those of an image of another size.
    """

    def __init__(self, num_segments: int = 10) -> None:
        self.num_segments = _positive(num_segments)
        self.num_planes = -(-num_segments // BITS_PER_PLANE)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read and pack the masks."""
        masks = None
        if results.get('segments_path'):
            masks = _read_masks(results['segments_path'], results, self.num_segments)
        full = masks is None
        if masks is None:
            masks = np.ones((*results['img_shape'], 1), dtype=np.uint8)
        results['segment_bits'] = pack_masks(masks, self.num_planes)
        results['num_segments'] = masks.shape[2]
        results['segment_fill'] = int(full)
        return results


def pack_masks(masks: np.ndarray, num_planes: int) -> np.ndarray:
    """Pack masks ``(H, W, K)`` of zeros and ones into a uint16 bit field ``(H, W, P)``."""
    # Masks are stored column by column; packing in that order keeps every access contiguous.
    # numpy has vector code for products of bytes, not for shifts.
    columns = masks.transpose(2, 1, 0).astype(np.uint8, copy=False)
    packed = np.zeros((num_planes, BITS_PER_PLANE // 8, *columns.shape[1:]), dtype=np.uint8)
    for k, mask in enumerate(columns):
        packed[k // BITS_PER_PLANE, k % BITS_PER_PLANE // 8] |= mask * np.uint8(1 << k % 8)
    bits = packed[:, 1].astype(np.uint16) << np.uint16(8) | packed[:, 0]
    return np.ascontiguousarray(bits.transpose(2, 1, 0))


def _read_masks(path: str, results: dict[str, Any], limit: int) -> np.ndarray | None:
    """Masks ``(h, w, K)`` of the best segments, or None if the sidecar lists none."""
    owner = results['img_path'], results['ori_shape']
    try:
        sidecar = read_sidecar(path, owner, check_masks=False)
    except FileNotFoundError:
        raise FileNotFoundError(f'segments of {results["img_path"]} not found: {path}') from None
    best = best_first(sidecar['segments'])[:limit]
    if not best:
        return None
    try:
        masks = decode_masks(dict(sidecar, segments=best))
    except ValueError as error:
        raise ValueError(f'segment file {path}: {error}') from error
    return masks.view(np.uint8).transpose(1, 2, 0)


@TRANSFORMS.register_module()
class LoadSegmentFolder(BaseTransform):
    """Read segment images from the published layout, ``image_segments/<stem>/<stem>_<k>.jpg``.

    One JPEG decode a segment: slow, meant for the released data as it is. Convert it to sidecars
    for training. Needs ``segment_dir`` (``data_prefix=dict(segment_dir='image_segments')``). Adds
    ``segment_images`` (uint8, ``(K, size, size, 3)``; rows without a segment are zero) and
    ``num_segments``. As published, segments are squashed to ``size`` and no augmentation moves
    them. The folder stores no scores: files are taken by their number k. An empty folder gives
    the image itself, a missing one is an error.

    Args:
        num_segments (int): K, the most segments of an image. Defaults to 10.
        size (int): Side in pixels. Defaults to 224.

    Raises:
        FileNotFoundError: If the folder is missing.
        ValueError: If the item has no ``segment_dir`` or a file cannot be decoded.
    """

    def __init__(self, num_segments: int = 10, size: int = 224) -> None:
        self.num_segments = _positive(num_segments)
        self.size = size

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Decode the images of the segments."""
        if not results.get('segment_dir'):
            raise ValueError(
                f'{results["img_path"]} has no segment_dir: give the dataset '
                "data_prefix=dict(segment_dir='image_segments')"
            )
        folder = Path(results['segment_dir'])
        if not folder.is_dir():
            raise FileNotFoundError(f'segments of {results["img_path"]} not found: {folder}')
        files = sorted(
            (
                f
                for f in folder.iterdir()
                if f.is_file() and has_image_suffix(f) and not is_hidden(f.name)
            ),
            key=_number,
        )
        painted = [read_image(str(f))[0] for f in files[: self.num_segments]] or [results['img']]
        images = np.zeros((self.num_segments, self.size, self.size, 3), dtype=np.uint8)
        for slot, image in zip(images, painted):
            squashed = Image.fromarray(image).resize(
                (self.size, self.size), Image.Resampling.BICUBIC
            )
            slot[:] = np.asarray(squashed)
        results['segment_images'] = images
        results['num_segments'] = len(painted)
        return results


def _number(file: Path) -> tuple[int, str]:
    match = re.search(r'(\d+)$', file.stem)
    return (int(match.group(1)) if match else -1, file.name)


def _positive(num_segments: int) -> int:
    if num_segments < 1:
        raise ValueError(f'num_segments must be at least 1, got {num_segments}')
    return num_segments
