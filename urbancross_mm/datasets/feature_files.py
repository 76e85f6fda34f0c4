"""Precomputed features that lie in one file or in several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from urbancross_mm.datasets.feature_archive import advice
from urbancross_mm.datasets.feature_file import FeatureFile, open_features


class FeatureFiles:
    """Looks images and captions up in feature files of one encoder.

    Args:
        file (str | Sequence[str]): One file, folder or pattern of shards, or several: captions of
            several places, say. What stands in more than one of them comes from the first.

    Attributes:
        files (list[FeatureFile]): Shared by everyone in this process who names the same file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If none is named, one is no feature file, or they come from different encoders.
    """

    def __init__(self, file: str | Sequence[str]) -> None:
        paths = [file] if isinstance(file, str) else list(file)
        if not paths:
            raise ValueError(f'features need at least one file, got {file!r}')
        self.files = [open_features(path) for path in paths]
        for other in self.files[1:]:
            _check_same_encoder(self.files[0], other)

    def image(self, img_id: str, path: str | None = None) -> np.ndarray:
        """Features of an image.

        Args:
            img_id (str): Its id.
            path (str, optional): Its file; if there is one, it must be the one that was encoded.
                Defaults to None.

        Shape:
            - output: ``(C,)``.

        Returns:
            np.ndarray: A copy.

        Raises:
            ValueError: If no file holds the image, or the image has changed since.
        """
        file = self._first(img_id, 'image')
        if path:
            file.check_image(img_id, path)
        return file.image(img_id)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Features of captions.

        Args:
            texts (Sequence[str]): n captions, exactly as they were encoded.

        Shape:
            - output: ``(n, D)``.

        Returns:
            np.ndarray: A copy.

        Raises:
            ValueError: If no file holds one of them.
        """
        if len(self.files) == 1:
            return self.files[0].texts(texts)
        width = max(file.text_feats.shape[1] for file in self.files)
        feats = np.empty((len(texts), width), np.float32)
        for row, text in enumerate(texts):
            feats[row] = self._first(text, 'text').texts([text])[0]
        return feats

    def _first(self, name: str, what: str) -> FeatureFile:
        """The first file that holds it; a single one says itself what it lacks."""
        holders = (file for file in self.files if getattr(file, f'has_{what}')(name))
        file = next(holders, None)
        if file is None and len(self.files) > 1:
            paths = [file.path for file in self.files]
            raise ValueError(
                f'none of the feature files {", ".join(paths)} holds the {what} {name!r}: '
                f'{advice(paths[-1])}'
            )
        return file or self.files[0]


def _check_same_encoder(first: FeatureFile, other: FeatureFile) -> None:
    """Refuse features that cannot stand in one batch, or mean different things."""
    for what in ('image_feats', 'text_feats'):
        widths = [getattr(file, what).shape[1] for file in (first, other)]
        # Shards of images alone have texts of no width.
        if 0 not in widths and widths[0] != widths[1]:
            raise ValueError(
                f'{first.path} and {other.path} hold {what} of different widths, {widths[0]} and '
                f'{widths[1]}: features of one dataset must come from one encoder'
            )
    if len({file.metadata['weights'] for file in (first, other) if 'weights' in file.metadata}) > 1:
        raise ValueError(
            f'{first.path} and {other.path} come from encoders with different weights: '
            f'{advice(other.path)} with the config of the other one'
        )
