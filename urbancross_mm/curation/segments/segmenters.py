"""What finds the masks of an image: SAM, or cheap methods that need no weights."""

from __future__ import annotations

import importlib.metadata
import inspect
import textwrap
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.curation.segments.sam_model import build_sam
from urbancross_mm.datasets.converters.classical_masks import color_masks, grid_masks
from urbancross_mm.registry import CURATION
from urbancross_mm.structures.segment_masks import stored_size
from urbancross_mm.utils.checkpoints import read_state_dict
from urbancross_mm.utils.optional import import_optional
from urbancross_mm.utils.weights import file_digest

# Decided here, or not to be written as plain JSON.
RESERVED = ('self', 'model', 'output_mode', 'point_grids')
WEIGHTS = 'https://github.com/facebookresearch/segment-anything#model-checkpoints'


class BaseSegmenter(ABC):
    """Finds masks in an image.

    Attributes:
        source (str): Stands in every segment file: what made the masks.
        in_threads (bool): Whether several images may be segmented at a time.
    """

    source: str
    in_threads: bool = False

    def check(self) -> None:  # noqa: B027  the cheap ones need nothing
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
            device (str): Where it shall run.
        """

    @abstractmethod
    def segment(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find masks.

        Args:
            image (np.ndarray): uint8 RGB.

        Shape:
            - image: ``(H, W, 3)``; masks: ``(K, h, w)``, of the same aspect; scores: ``(K,)``.

        Returns:
            tuple[np.ndarray, np.ndarray]: Boolean masks, and how good each one is.
        """


@CURATION.register_module()
class GridSegmenter(BaseSegmenter):
    """Cells of a grid, whatever the image shows.

    Args:
        num_segments (int): Cells. Defaults to 10.
        size (int): Bound for the longer side of the masks in pixels. Defaults to 256.

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
        """Cut the cells; the score is the part of the image."""
        return grid_masks(_shrunk(image, self.size), self.num_segments)


@CURATION.register_module()
class ColorSegmenter(BaseSegmenter):
    """Connected regions of one color; see :func:`color_masks`.

    Args:
        num_segments (int): Most regions. Defaults to 50.
        colors (int): Clusters. Defaults to 8.
        min_area (float): Smallest region as part of the image. Defaults to 0.01.
        size (int): Bound for the longer side at which regions are found. Defaults to 256.
        seed (int): Of the k-means starts. Defaults to 0.

    Raises:
        ValueError: If a number is out of range.
    """

    source = 'color'
    in_threads = True

    def __init__(
        self,
        num_segments: int = 50,
        colors: int = 8,
        min_area: float = 0.01,
        size: int = 256,
        seed: int = 0,
    ) -> None:
        _check_positive(num_segments=num_segments, colors=colors, size=size)
        if not 0 <= min_area < 1:
            raise ValueError(f'min_area is a part of the image in [0, 1), got {min_area}')
        self.num_segments, self.colors, self.min_area = num_segments, colors, min_area
        self.size, self.seed = size, seed

    def settings(self) -> dict[str, Any]:
        """All options."""
        return dict(
            type='ColorSegmenter',
            num_segments=self.num_segments,
            colors=self.colors,
            min_area=self.min_area,
            size=self.size,
            seed=self.seed,
        )

    def segment(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the regions; the score is area times compactness."""
        return color_masks(
            _shrunk(image, self.size), self.num_segments, self.colors, self.min_area, self.seed
        )


@CURATION.register_module()
class SamSegmenter(BaseSegmenter):
    """Segment Anything, prompted with a grid of points. The score is the IoU that it predicts.

    Args:
        checkpoint (str): Weights as published, such as ``sam_vit_h_4b8939.pth``.
        model_type (str): 'vit_h', 'vit_l' or 'vit_b', or what else stands in
            ``segment_anything.sam_model_registry``. Defaults to 'vit_h'.
        model (dict, optional): Sizes of another SAM, see :func:`build_sam`; ``model_type`` is then
            only its name. Defaults to None.
        **options: Of ``SamAutomaticMaskGenerator`` (``points_per_side``, ``pred_iou_thresh``, ...);
            its defaults are those of the published pipeline.

    Reference:
        Kirillov et al., `Segment Anything <https://arxiv.org/abs/2304.02643>`_.
    """

    def __init__(
        self,
        checkpoint: str,
        model_type: str = 'vit_h',
        model: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.checkpoint, self.model_type = Path(checkpoint), model_type
        self.model, self.options = model, options
        self.source = f'sam:{model_type}'
        self._generator: Any = None

    def check(self) -> None:
        """Look for the package, the weights and the options.

        Raises:
            FileNotFoundError: If the weights are missing.
            ImportError: If segment_anything is not installed.
            ValueError: If the model or an option is unknown.
        """
        sam = _import_sam()
        if not self.checkpoint.is_file():
            raise FileNotFoundError(
                f'no SAM weights at {self.checkpoint}: {WEIGHTS} has them; '
                'ColorSegmenter needs none'
            )
        if self.model is None and self.model_type not in sam.sam_model_registry:
            raise ValueError(
                f'model_type must be one of {", ".join(sam.sam_model_registry)}, got '
                f'{self.model_type!r}'
            )
        known = set(inspect.signature(sam.SamAutomaticMaskGenerator.__init__).parameters)
        unknown = sorted(set(self.options) - (known - set(RESERVED)))
        if unknown:
            raise ValueError(
                f'SamAutomaticMaskGenerator has no option {unknown[0]!r}; it has '
                f'{", ".join(sorted(known - set(RESERVED)))}'
            )

    def settings(self) -> dict[str, Any]:
        """Options, the hash of the weights, and the version of the package."""
        return dict(
            type='SamSegmenter',
            model_type=self.model_type,
            model=self.model,
            weights=file_digest(self.checkpoint),
            version=_version(),
            options=self.options,
        )

    def begin(self, device: str) -> None:
        """Load the weights.

        Raises:
            ValueError: If they are of another model.
        """
        sam = _import_sam()
        model = (
            build_sam(**self.model)
            if self.model is not None
            else sam.sam_model_registry[self.model_type]()
        )
        weights = read_state_dict(self.checkpoint)
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            what = textwrap.shorten(str(error), 200)
            raise ValueError(
                f'{self.checkpoint} does not hold the weights of SAM {self.model_type}: {what}'
            ) from error
        self._generator = sam.SamAutomaticMaskGenerator(model.to(device).eval(), **self.options)

    def segment(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the masks at the size of the image."""
        found = self._generator.generate(image)
        masks = np.array([one['segmentation'] for one in found], dtype=bool)
        return (
            masks.reshape(-1, *image.shape[:2]),
            np.array([one['predicted_iou'] for one in found], dtype=float),
        )


def _import_sam() -> Any:
    return import_optional('segment_anything', 'SamSegmenter', 'segment-anything')


def _version() -> str | None:
    try:
        return importlib.metadata.version('segment-anything')
    except importlib.metadata.PackageNotFoundError:  # a clone on the path
        return None


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
