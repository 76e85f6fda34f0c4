"""Base classes of the stages of a curation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from urbancross_mm.curation.core.records import ImageRecord, Outcome
from urbancross_mm.utils.images import read_image
from urbancross_mm.utils.progress import map_threads


@dataclass(frozen=True)
class Workspace:
    """Folders and hardware of a curation; none of it changes the result.

    Attributes:
        source (Path): ``--in``: tiles, rasters, map data.
        out (Path): ``--out``: ``images/``, ``segments/``, ``annotations/`` and ``manifest/``.
        device (str): Device of the models. Defaults to 'cpu'.
        workers (int): Threads for images. Defaults to 1.
        stages (tuple[str, ...]): Names of the stages of the config. Defaults to (): all stages that
            have a manifest.
    """

    source: Path
    out: Path
    device: str = 'cpu'
    workers: int = 1
    stages: tuple[str, ...] = ()

    def image_path(self, image: ImageRecord) -> Path:
        """The file of an image."""
        return self.out / 'images' / image.name

    def pixels(self, images: Sequence[ImageRecord]) -> list[np.ndarray]:
        """Decode images, in threads.

        Args:
            images (Sequence[ImageRecord]): A batch.

        Returns:
            list[np.ndarray]: uint8 RGB, each ``(H, W, 3)``.

        Raises:
            ValueError: If a file is not an image.
        """
        paths = [str(self.image_path(image)) for image in images]
        return [array for array, _ in map_threads(read_image, paths, self.workers)]


class BaseStage(ABC):
    """One step of a curation: an :class:`ImageStage` or a :class:`CollectionStage`.

    A stage is cheap to build. Models and files are opened in :meth:`begin`, and only if there is
    something to do.

    Attributes:
        name (ClassVar[str]): Name of the stage and its manifest.
        reads (tuple[str, ...]): Fields of an image that the outcome depends on. If one of them
            changes, the image is processed again.
        version (ClassVar[int]): Version of the code. A new version processes all images again.
            Defaults to 1.
        libraries (tuple[str, ...]): Packages whose versions are recorded. A new version processes
            nothing again. Defaults to numpy and pillow.
    """

    name: ClassVar[str]
    reads: tuple[str, ...] = ()
    version: ClassVar[int] = 1
    libraries: tuple[str, ...] = ('numpy', 'pillow')

    def check(self, workspace: Workspace) -> None:  # noqa: B027  most stages need nothing
        """Check, before any stage runs, that files and packages of this one are there.

        Args:
            workspace (Workspace): Folders and device.

        Raises:
            FileNotFoundError: If a file is missing.
            ImportError: If an extra is not installed.
        """

    @abstractmethod
    def settings(self, workspace: Workspace) -> dict[str, Any]:
        """What the outcome depends on besides the images: options, hashes of files and models.

        Args:
            workspace (Workspace): Folders and device.

        Returns:
            dict: Plain JSON. Every record contains it, so it is short.
        """

    def begin(self, workspace: Workspace, images: Sequence[ImageRecord]) -> None:  # noqa: B027
        """Load models and files.

        Args:
            workspace (Workspace): Folders and device.
            images (Sequence[ImageRecord]): All images, also those that are done already.
        """

    def summary(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[str]:
        """Remarks for the report that belong to no single image.

        Args:
            images (Sequence[ImageRecord]): All images.
            workspace (Workspace): Folders and device.

        Returns:
            list[str]: The remarks.
        """
        return []


class ImageStage(BaseStage):
    """Processes images independently, in batches.

    Args:
        batch_size (int): Images per batch. It does not change the result. Defaults to 1.

    Attributes:
        batch_matters (bool): Whether an outcome may differ in its last digit with the other images
            of the batch, as with models. A resumed run then uses the same batches as a run without
            interruption. Defaults to False.
    """

    batch_matters: bool = False

    def __init__(self, batch_size: int = 1) -> None:
        if batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, got {batch_size}')
        self.batch_size = batch_size

    @abstractmethod
    def process(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[Outcome]:
        """Process a batch.

        After an exception the images are tried one by one, and those that fail are recorded as
        failed.

        Args:
            images (Sequence[ImageRecord]): The batch.
            workspace (Workspace): Folders and device.

        Returns:
            list[Outcome]: One per image.
        """

    def is_whole(self, image: ImageRecord, outcome: Outcome, workspace: Workspace) -> bool:
        """Whether the files of an earlier outcome are still there.

        Args:
            image (ImageRecord): The image.
            outcome (Outcome): The recorded outcome.
            workspace (Workspace): Folders and device.

        Returns:
            bool: If False, the image is processed again.
        """
        return True

    def fits(self, image: ImageRecord, outcome: Outcome, workspace: Workspace) -> bool:
        """Whether the files of an image still belong to an outcome from the cache.

        Another config may have overwritten them.

        Args:
            image (ImageRecord): The image.
            outcome (Outcome): The outcome from the cache.
            workspace (Workspace): Folders and device.

        Returns:
            bool: If False, the image is processed again. This is the default for a stage that
                overrides :meth:`is_whole`.
        """
        return type(self).is_whole is ImageStage.is_whole


class CollectionStage(BaseStage):
    """Decides about all images together. It is cheap, so every run does it again."""

    @abstractmethod
    def decide(self, images: Sequence[ImageRecord], workspace: Workspace) -> list[Outcome]:
        """Decide about all images.

        Args:
            images (Sequence[ImageRecord]): All images that were kept so far.
            workspace (Workspace): Folders and device.

        Returns:
            list[Outcome]: One per image.
        """
