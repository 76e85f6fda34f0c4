"""What every stage of a curation has in common."""

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
class Workplace:
    """Where and on what a curation runs; none of it changes the result.

    Attributes:
        source (Path): ``--in``: tiles, rasters, map data.
        out (Path): ``--out``: ``images/``, ``segments/``, ``annotations/`` and ``manifest/``.
        device (str): Of the models. Defaults to 'cpu'.
        workers (int): Threads for images. Defaults to 1.
        stages (tuple[str, ...]): Names of the stages of the run. Defaults to (): those that have a
            manifest.
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
            ValueError: If one is no image.
        """
        paths = [str(self.image_path(image)) for image in images]
        return [array for array, _ in map_threads(read_image, paths, self.workers)]


class BaseStage(ABC):
    """One step of a curation; a subclass decides about single images or about all at once.

    A stage is cheap to build: models and files are opened in :meth:`begin`, and only if there is
    anything to do.

    Attributes:
        name (ClassVar[str]): Of the stage and its manifest.
        reads (ClassVar[tuple[str, ...]]): Fields of an image that the outcome depends on. Another
            value of one of them makes the image's record anew, any other change does not.
        version (ClassVar[int]): Of the code: one more makes all records anew. Defaults to 1.
        libraries (tuple[str, ...]): Distributions whose versions stand in the records; another
            version makes nothing anew. Defaults to numpy and pillow.
    """

    name: ClassVar[str]
    reads: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1
    libraries: tuple[str, ...] = ('numpy', 'pillow')

    def check(self, place: Workplace) -> None:  # noqa: B027  most stages need nothing
        """Look, before any stage runs, for what this one will need.

        Args:
            place (Workplace): Where it runs.

        Raises:
            FileNotFoundError: If a file is missing.
            ImportError: If an extra is not installed.
        """

    @abstractmethod
    def settings(self, place: Workplace) -> dict[str, Any]:
        """What the outcome depends on besides the images: options, hashes of files and models.

        Args:
            place (Workplace): Where it runs.

        Returns:
            dict: Plain JSON. It stands in every record, so it is short.
        """

    def begin(self, place: Workplace, images: Sequence[ImageRecord]) -> None:  # noqa: B027
        """Load what is needed to work.

        Args:
            place (Workplace): Where it runs.
            images (Sequence[ImageRecord]): All that came in, also those that are done already.
        """

    def summary(self, images: Sequence[ImageRecord], place: Workplace) -> list[str]:
        """Sentences for the report that belong to no single image.

        Args:
            images (Sequence[ImageRecord]): All that came in.
            place (Workplace): Where it ran.

        Returns:
            list[str]: Empty if there is nothing to say.
        """
        return []


class ImageStage(BaseStage):
    """Decides about every image by itself, some in one batch.

    Args:
        batch_size (int): Images a batch. It does not change the result. Defaults to 1.

    Attributes:
        batch_matters (bool): Whether an outcome may differ in its last digit with its companions in
            a batch, as those of models do: a missing image is then made with the same companions
            as in a run without interruption. Defaults to False.
    """

    batch_matters: bool = False

    def __init__(self, batch_size: int = 1) -> None:
        if batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, got {batch_size}')
        self.batch_size = batch_size

    @abstractmethod
    def process(self, images: Sequence[ImageRecord], place: Workplace) -> list[Outcome]:
        """Work on a batch.

        An exception concerns the whole batch: the images are then tried one by one, and the one
        that fails alone is recorded as failed.

        Args:
            images (Sequence[ImageRecord]): The batch.
            place (Workplace): Where it runs.

        Returns:
            list[Outcome]: One an image.
        """

    def is_whole(self, image: ImageRecord, outcome: Outcome, place: Workplace) -> bool:
        """Whether the files of an earlier outcome are still there.

        Args:
            image (ImageRecord): The image.
            outcome (Outcome): As recorded.
            place (Workplace): Where it runs.

        Returns:
            bool: False makes it anew.
        """
        return True

    def fits(self, image: ImageRecord, outcome: Outcome, place: Workplace) -> bool:
        """Whether the files of an image are those of an outcome from the cache.

        Another config may have written over them since.

        Args:
            image (ImageRecord): The image.
            outcome (Outcome): As recorded, maybe long ago.
            place (Workplace): Where it runs.

        Returns:
            bool: False makes it anew, as for every stage with files that does not say how to tell.
        """
        return type(self).is_whole is ImageStage.is_whole


class CollectionStage(BaseStage):
    """Decides about all images at once; pure and cheap, so it is simply done again."""

    @abstractmethod
    def decide(self, images: Sequence[ImageRecord], place: Workplace) -> list[Outcome]:
        """Decide.

        Args:
            images (Sequence[ImageRecord]): All that were kept so far.
            place (Workplace): Where it runs.

        Returns:
            list[Outcome]: One an image.
        """
