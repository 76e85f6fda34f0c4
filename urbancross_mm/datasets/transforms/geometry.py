"""Geometry: the same move for an image, the bit field of its masks and its class map.

Pixel centers are the one convention. Bit fields and class maps take the nearest neighbor, which
copies values and so moves every mask of a bit field exactly as it would move that mask alone;
rotation goes through PIL's 32-bit integer mode. (OpenCV's nearest neighbor depends on the number
of channels.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from PIL import Image
from torch.nn.functional import interpolate

from urbancross_mm.registry import TRANSFORMS
from urbancross_mm.structures.class_maps import IGNORE_INDEX

INTERPOLATIONS = ('nearest', 'bilinear', 'bicubic')
WARPS = dict(bilinear=cv2.INTER_LINEAR, bicubic=cv2.INTER_CUBIC)
DIRECTIONS = ('horizontal', 'vertical', 'diagonal')


class GeometryTransform(BaseTransform):
    """Moves ``img``, ``segment_bits`` and ``gt_seg_map`` together and updates ``img_shape``.

    A subclass writes ``move_image`` and ``move_labels``, called with the same ``params``, which
    come from one call of ``draw`` per item.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw the parameters once and move everything with them."""
        shape = results['img'].shape[:2]
        params = self.draw(shape)
        results['img'] = self.move_image(results['img'], params)
        fills = dict(segment_bits=results.get('segment_fill', 0), gt_seg_map=IGNORE_INDEX)
        for key, fill in fills.items():
            if key in results:
                labels = resize_labels(results[key], shape)
                results[key] = self.move_labels(labels, params, fill)
        results['img_shape'] = results['img'].shape[:2]
        return results

    def draw(self, shape: tuple[int, int]) -> Any:
        """Parameters of one move, for an image of this height and width."""
        raise NotImplementedError

    def move_image(self, image: np.ndarray, params: Any) -> np.ndarray:
        """Move an image ``(H, W, 3)``."""
        raise NotImplementedError

    def move_labels(self, labels: np.ndarray, params: Any, fill: int) -> np.ndarray:
        """Move labels ``(H, W)`` or ``(H, W, P)``; ``fill`` is for pixels outside of them."""
        raise NotImplementedError


@TRANSFORMS.register_module()
class ResizeImage(GeometryTransform):
    """Squash to a size. Images are antialiased, labels take the nearest neighbor.

    The image is resized by torch's uint8 kernel: 4 to 7 times as fast as PIL, and within one
    gray level of it.

    Args:
        scale (int | Sequence[int]): Side, or (width, height) as everywhere in mm, in pixels.
        interpolation (str): 'bicubic' (CLIP's), 'bilinear' (the published config's) or 'nearest',
            for the image. Defaults to 'bicubic'.
    """

    def __init__(self, scale: int | Sequence[int], interpolation: str = 'bicubic') -> None:
        self.width, self.height = _pair(scale)
        self.interpolation = _interpolation(interpolation)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize, each from its own size at once: stored masks may be smaller than images."""
        shape = (self.height, self.width)
        if results['img'].shape[:2] != shape:
            results['img'] = resize_image(results['img'], shape, self.interpolation)
        for key in ('segment_bits', 'gt_seg_map'):
            if key in results:
                results[key] = resize_labels(results[key], shape)
        results['img_shape'] = shape
        return results


@TRANSFORMS.register_module()
class RandomRotate(GeometryTransform):
    """Rotate counter-clockwise about the center by a random angle, keeping the size.

    The corners of the image turn black, no mask covers them, and the class map ignores them.
    The full mask of an image without segments stays full: its segment is the image, corners
    included.

    Args:
        degrees (Sequence[float]): Range of the angle. Defaults to (0, 90).
        interpolation (str): For the image; the published config has 'nearest'.
            Defaults to 'bilinear'.
    """

    def __init__(self, degrees: Sequence[float] = (0, 90), interpolation: str = 'bilinear') -> None:
        if len(degrees) != 2 or degrees[0] > degrees[1]:
            raise ValueError(f'degrees must be a range (low, high), got {degrees!r}')
        self.low, self.high = degrees
        self.interpolation = _interpolation(interpolation)

    @cache_randomness
    def draw(self, shape: tuple[int, int]) -> float:
        """The angle in degrees."""
        return float(np.random.uniform(self.low, self.high))

    def move_image(self, image: np.ndarray, params: float) -> np.ndarray:
        """Rotate, with black corners."""
        image = torch.from_numpy(image).contiguous().numpy()  # others copy a view more slowly
        if self.interpolation == 'nearest':
            return np.array(Image.fromarray(image).rotate(params))
        height, width = image.shape[:2]
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), params, 1)
        return cv2.warpAffine(image, matrix, (width, height), flags=WARPS[self.interpolation])

    def move_labels(self, labels: np.ndarray, params: float, fill: int) -> np.ndarray:
        """Rotate by the nearest neighbor."""
        return _each_plane(labels, lambda plane: plane.rotate(params, fillcolor=fill))


@TRANSFORMS.register_module()
class RandomCropImage(GeometryTransform):
    """Cut out a window at a random position.

    Args:
        size (int | Sequence[int]): Side, or (width, height), in pixels.

    Raises:
        ValueError: If an image is smaller than the window.
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.width, self.height = _pair(size)

    @cache_randomness
    def draw(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Top and left in pixels."""
        if shape[0] < self.height or shape[1] < self.width:
            raise ValueError(
                f'cannot cut {self.height} x {self.width} out of an image of '
                f'{shape[0]} x {shape[1]}: resize it first'
            )
        return (
            int(np.random.randint(shape[0] - self.height + 1)),
            int(np.random.randint(shape[1] - self.width + 1)),
        )

    def move_image(self, image: np.ndarray, params: tuple[int, int]) -> np.ndarray:
        """Cut the window out of the image."""
        top, left = params
        return image[top : top + self.height, left : left + self.width]

    def move_labels(self, labels: np.ndarray, params: tuple[int, int], fill: int) -> np.ndarray:
        """Cut the same window out of the labels."""
        return self.move_image(labels, params)


@TRANSFORMS.register_module()
class RandomFlipImage(GeometryTransform):
    """Mirror with some probability. Captions that say left or right are then wrong.

    Args:
        prob (float): Probability, 0 to 1. Defaults to 0.5.
        directions (Sequence[str]): One of them is drawn: 'horizontal' (swaps left and
            right), 'vertical', 'diagonal' (both). Defaults to ('horizontal',).
    """

    def __init__(self, prob: float = 0.5, directions: Sequence[str] = ('horizontal',)) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be between 0 and 1, got {prob}')
        if not directions or not set(directions) <= set(DIRECTIONS):
            raise ValueError(f'directions must be of {DIRECTIONS}, got {directions!r}')
        self.prob = prob
        self.directions = tuple(directions)

    @cache_randomness
    def draw(self, shape: tuple[int, int]) -> str | None:
        """The direction, or None for no flip."""
        if np.random.rand() >= self.prob:
            return None
        return self.directions[np.random.randint(len(self.directions))]

    def move_image(self, image: np.ndarray, params: str | None) -> np.ndarray:
        """Mirror the image."""
        if params in ('horizontal', 'diagonal'):
            image = image[:, ::-1]
        if params in ('vertical', 'diagonal'):
            image = image[::-1]
        return np.ascontiguousarray(image)

    def move_labels(self, labels: np.ndarray, params: str | None, fill: int) -> np.ndarray:
        """Mirror the labels."""
        return self.move_image(labels, params)


def resize_image(image: np.ndarray, shape: tuple[int, int], interpolation: str) -> np.ndarray:
    """Resize an image ``(h, w, 3)`` to (height, width), with antialias when it shrinks."""
    if interpolation == 'nearest':
        return np.array(Image.fromarray(image).resize(shape[::-1], Image.Resampling.NEAREST))
    if interpolation == 'bilinear' and shape[0] >= image.shape[0] and shape[1] >= image.shape[1]:
        # Nothing to filter when an image grows, and OpenCV is several times as fast then.
        return cv2.resize(image, shape[::-1], interpolation=cv2.INTER_LINEAR)
    channels_first = torch.from_numpy(image).permute(2, 0, 1)[None]
    resized = interpolate(channels_first, shape, mode=interpolation, antialias=True)
    # Torch's memory has channels first, as the last transform wants it: seen from here, a view.
    return resized[0].permute(1, 2, 0).numpy()


def resize_labels(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize integer labels ``(h, w)`` or ``(h, w, P)`` by the nearest neighbor."""
    if labels.shape[:2] == tuple(shape):
        return labels
    rows, columns = (
        ((np.arange(new) + 0.5) * (old / new)).astype(np.intp)
        for new, old in zip(shape, labels.shape)
    )
    return labels[rows][:, columns]


def _each_plane(labels: np.ndarray, move: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    planes = labels.reshape(*labels.shape[:2], -1).astype(np.int32)
    moved = [
        np.asarray(move(Image.fromarray(np.ascontiguousarray(planes[..., p]))))
        for p in range(planes.shape[2])
    ]
    out = np.stack(moved, axis=-1).astype(labels.dtype)
    return out if labels.ndim == 3 else out[..., 0]


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    width, height = (size, size) if isinstance(size, int) else tuple(size)
    if width < 1 or height < 1:
        raise ValueError(f'a size must be positive, got {size!r}')
    return int(width), int(height)


def _interpolation(name: str) -> str:
    if name not in INTERPOLATIONS:
        raise ValueError(f'interpolation must be one of {INTERPOLATIONS}, got {name!r}')
    return name
