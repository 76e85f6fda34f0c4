"""The base class of segmenters, and segmenters that need no weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from urbancross_mm.datasets.converters.classical_masks import color_masks, grid_masks
from urbancross_mm.registry import CURATION
from urbancross_mm.structures.segment_masks import stored_size

# Color clusters, and the smallest region as a share of the image.
COLORS, MIN_AREA = 8, 0.01


class BaseSegmenter(ABC):
    """Finds masks in an image.

    Attributes:
        source (str): Origin of the masks, written into every segment file.
        in_threads (bool): Whether several images may be segmented at the same time.
    """

    source: str
    in_threads: bool = False

    def check(self) -> None:  # noqa: B027  some need nothing
        """Look for files and packages, before any stage runs.

        Raises:
            FileNotFoundError: If the weights are missing.
            ImportError: If a package is not installed.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Every option that changes the masks, and the hash of the weights; plain JSON."""

    def begin(self, device: str) -> None:  # noqa: B027
        """Load the model.

        Args:
            device (str): Device of the model.
        """

    @abstractmethod
    def segment(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find masks.

        Args:
            image (np.ndarray): uint8 RGB.

        Shape:
            - image: ``(H, W, 3)``; masks: ``(K, h, w)`` with the same aspect; scores: ``(K,)``.

        Returns:
            tuple[np.ndarray, np.ndarray]: Boolean masks and their scores.
        """


@CURATION.register_module()
class GridSegmenter(BaseSegmenter):
    """Cells of a grid, independent of the image.

    Args:
        num_segments (int): Number of cells. Defaults to 10.
        size (int): Longest side of the masks in pixels. Defaults to 256.

    Raises:
        ValueError: If a number is below 1.
    """

    source = 'grid'
    in_threads = True

    def __init__(self, num_segments: int = 10, size: int = 256) -> None:
        _check_positive(num_segments=num_segments, size=size)
        self.num_segments, self.size = num_segments, size

    def settings(self) -> dict[str, Any]:
        """All options."""
        return dict(type='GridSegmenter', num_segments=self.num_segments, size=self.size)

    def segment(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cut the cells. The score is their share of the image."""
        return grid_masks(_shrunk(image, self.size), self.num_segments)


@CURATION.register_module()
class ColorSegmenter(BaseSegmenter):
    """Connected regions of one color; see :func:`color_masks`.

    Args:
        num_segments (int): Most regions. Defaults to 50.
        size (int): Longest side in pixels at which regions are found. Defaults to 256.
        seed (int): Random seed of k-means. Defaults to 0.

    Raises:
        ValueError: If a number is out of range.
    """

    source = 'color'
    in_threads = True

    def __init__(self, num_segments: int = 50, size: int = 256, seed: int = 0) -> None:
        _check_positive(num_segments=num_segments, size=size)
        self.num_segments, self.size, self.seed = num_segments, size, seed

    def settings(self) -> dict[str, Any]:
        """All options, and the two that are fixed, as in earlier records."""
        return dict(
            type='ColorSegmenter',
            num_segments=self.num_segments,
            colors=COLORS,
            min_area=MIN_AREA,
            size=self.size,
            seed=self.seed,
        )

    def segment(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the regions. The score is area times compactness."""
        shrunk = _shrunk(image, self.size)
        return color_masks(shrunk, self.num_segments, COLORS, MIN_AREA, self.seed)


def _shrunk(image: np.ndarray, longest: int) -> np.ndarray:
    import cv2

    height, width = stored_size(image.shape[:2], longest)
    if (height, width) == image.shape[:2]:
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _check_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f'{name} must be at least 1, got {number}')
