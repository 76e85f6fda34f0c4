"""Another view of each image: what self-supervision compares, and what an image is found by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from urbancross_mm.functional.views import feature_view, image_view, numbered_generator
from urbancross_mm.utils.ids import stable_id


class ImageViews:
    """Draws a view of each image of a batch, by :func:`urbancross_mm.functional.views.image_view`.

    Nothing is kept: a view is drawn again whenever it is needed.

    Args:
        seed (int): Of the views that are fixed. Defaults to 0.
        turn (float): Largest angle in degrees. Defaults to 90.0.
        zoom (float): Smallest side of the crop, as a part of the image. Defaults to 0.8.
        noise (float): Standard deviation of the noise. Defaults to 0.05.

    Raises:
        ValueError: If a number is not possible.
    """

    def __init__(
        self, seed: int = 0, turn: float = 90.0, zoom: float = 0.8, noise: float = 0.05
    ) -> None:
        if not isinstance(seed, int) or seed < 0 or turn < 0 or not 0 < zoom <= 1 or noise < 0:
            raise ValueError(
                'seed must be a whole number from 0, turn and noise at least 0, zoom above 0 and '
                f'at most 1; got {seed!r}, {turn}, {noise} and {zoom}'
            )
        self.seed = seed
        self.options = dict(turn=turn, zoom=zoom, noise=noise)

    def __call__(self, images: Tensor, data_samples: Sequence[Any] | None) -> Tensor:
        """Views of a batch in evaluation; see :meth:`fixed`.

        Args:
            images (Tensor): Normalized images, or features.
            data_samples (Sequence | None): With ``img_id``.

        Returns:
            Tensor: One view per image.

        Raises:
            ValueError: If the ids are missing.
        """
        ids = [sample.get('img_id') for sample in data_samples or ()]
        if len(ids) != len(images) or None in ids:
            raise ValueError(
                f'image_view needs the img_id of each of {len(images)} images, got {ids[:5]}: the '
                'pipeline needs PackRetrievalInputs'
            )
        return self.fixed(images, ids)

    def fresh(self, images: Tensor) -> Tensor:
        """Views that torch's global generator decides, for training.

        Args:
            images (Tensor): Normalized images, or features.

        Shape:
            - images, output: ``(N, 3, H, W)`` or ``(N, C)``.

        Returns:
            Tensor: One view per image.
        """
        seed = int(torch.randint(2**31, ()))
        return self._view(images, torch.Generator().manual_seed(seed))

    def fixed(self, images: Tensor, img_ids: Sequence[Any]) -> Tensor:
        """Views that the seed and the id of the image decide, and nothing else.

        Neither the batch, nor the order, nor the rank makes a difference: each image has its own
        generator and is drawn alone.

        Args:
            images (Tensor): Normalized images, or features.
            img_ids (Sequence): Id of each.

        Shape:
            - images, output: ``(N, 3, H, W)`` or ``(N, C)``.

        Returns:
            Tensor: One view per image.
        """
        views = [
            self._view(image, numbered_generator(self.seed, stable_id(str(img_id))))
            for image, img_id in zip(images.split(1), img_ids, strict=True)
        ]
        return torch.cat(views)

    def _view(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if images.dim() == 2:
            return feature_view(images, generator)
        # Under mixed precision the grid would be rounded to a few pixels.
        with (
            torch.autocast('cpu', enabled=False),
            torch.autocast(images.device.type, enabled=False),
        ):
            return image_view(images, generator, **self.options)
