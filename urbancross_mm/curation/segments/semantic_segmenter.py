"""Segments from the decode head of a trained retriever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from urbancross_mm.curation.segments.segmenters import BaseSegmenter
from urbancross_mm.inference.checkpoints import resolve_checkpoint
from urbancross_mm.inference.config import load_config, model_of
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.registry import CURATION
from urbancross_mm.utils.config import test_pipeline_of
from urbancross_mm.utils.hashing import file_digest, name_files


@CURATION.register_module()
class SemanticSegmenter(BaseSegmenter):
    """Connected regions of one class, as a retriever with a decode head sees them.

    Args:
        config (str): Config of a trained retriever whose pyramid has a decode head.
        checkpoint (str): Its checkpoint, a file or a work directory.
        num_segments (int): Most regions, the largest first. Defaults to 50.
        min_area (float): Smallest region as a share of the image. Defaults to 0.01.

    Raises:
        ValueError: If a number is out of range.
    """

    source = 'semantic'

    def __init__(
        self, config: str, checkpoint: str, num_segments: int = 50, min_area: float = 0.01
    ) -> None:
        if num_segments < 1 or not 0 <= min_area < 1:
            raise ValueError(
                'num_segments must be at least 1 and min_area in [0, 1), got '
                f'{num_segments} and {min_area}'
            )
        self.config, self.checkpoint = config, checkpoint
        self.num_segments, self.min_area = num_segments, min_area
        self._embedder: Embedder | None = None

    def check(self) -> None:
        """Look for config and checkpoint."""
        for path in (self.config, self.checkpoint):
            if not Path(path).exists():
                raise FileNotFoundError(f'SemanticSegmenter: {path!r} does not exist')

    def settings(self) -> dict[str, Any]:
        """Model and pipeline, the hash of the weights, and the numbers."""
        cfg = load_config(self.config)
        return dict(
            type='SemanticSegmenter',
            model=name_files([model_of(cfg), test_pipeline_of(cfg)]),
            weights=file_digest(resolve_checkpoint(self.checkpoint)),
            num_segments=self.num_segments,
            min_area=self.min_area,
        )

    def begin(self, device: str) -> None:
        """Load the model."""
        self._embedder = Embedder.from_config(self.config, self.checkpoint, device=device)

    def segment(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the regions. The score is their share of the image."""
        if self._embedder is None:
            raise RuntimeError('call begin(device) before segmenting')
        (class_map,) = self._embedder.segment([image])
        masks = class_regions(class_map, self.min_area, self.num_segments)
        return masks, masks.mean(axis=(1, 2))


def class_regions(class_map: np.ndarray, min_area: float, most: int) -> np.ndarray:
    """Find the connected regions of each class.

    Args:
        class_map (np.ndarray): Class of every pixel.
        min_area (float): Smallest region as a share of the image.
        most (int): How many at most.

    Shape:
        - class_map: ``(H, W)``; output: ``(K, H, W)``.

    Returns:
        np.ndarray: Boolean masks, the largest first. They do not overlap.
    """
    found: list[tuple[int, np.ndarray, int]] = []  # area, parts of a class, number of the part
    for value in np.unique(class_map):
        _, parts, stats, _ = cv2.connectedComponentsWithStats((class_map == value).astype(np.uint8))
        areas = stats[1:, cv2.CC_STAT_AREA]
        found += [
            (int(area), parts, part)
            for part, area in enumerate(areas, 1)
            if area >= min_area * class_map.size
        ]
    # Only now one mask a region: a map of a large tile may have thousands of small ones.
    found.sort(key=lambda region: -region[0])
    masks = [parts == part for _, parts, part in found[:most]]
    return np.stack(masks) if masks else np.zeros((0, *class_map.shape), dtype=bool)
