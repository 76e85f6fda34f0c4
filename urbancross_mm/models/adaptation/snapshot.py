"""A retriever as it was before adaptation."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from urbancross_mm.utils.checkpoints import read_state_dict
from urbancross_mm.utils.state_dicts import check_state_dict, own_weights


class FrozenSnapshot:
    """Embeds with the weights of the starting checkpoint, whatever has been trained since.

    It is no part of the model: never trained, never saved, and built at the first use. It reads
    the starting checkpoint itself, so that a resumed run has the same snapshot as an
    uninterrupted one. Weights that the model does not train share their memory with it.

    Each text is encoded once per epoch. Each image too with ``cache_images``, which is right
    only if the pipeline does not augment them, and an error is raised where it does.

    Args:
        source_checkpoint (str | Path, optional): The starting checkpoint. Defaults to None: the
            weights at the first use, which a resumed run cannot restore.
        cache_images (bool): Encode every image once an epoch. Defaults to False.
    """

    def __init__(
        self, source_checkpoint: str | Path | None = None, cache_images: bool = False
    ) -> None:
        self.source_checkpoint = source_checkpoint
        self.cache_images = cache_images
        self._model: Any = None
        self._texts: dict[int, Tensor] = {}
        self._images: dict[str, Tensor] = {}
        self._checksums: dict[str, float] = {}

    @torch.no_grad()
    def encode_image(self, model: Any, image: Tensor, img_ids: Sequence[str]) -> Tensor:
        """Embed images.

        Args:
            model (BaseRetriever): The retriever that is being trained; copied at the first use.
            image (Tensor): Normalized images.
            img_ids (Sequence[str]): Their ids.

        Shape:
            (N, 3, H, W) -> (N, D).

        Returns:
            Tensor: Unit vectors without gradient.

        Raises:
            ValueError: If a cached image comes back changed.
        """
        encode = self.retriever(model).encode_image
        if not self.cache_images:
            return encode(image)
        for img_id, checksum in zip(img_ids, _checksums(image)):
            first = self._checksums.setdefault(img_id, checksum)
            if not math.isclose(first, checksum, rel_tol=1e-9, abs_tol=1e-6):
                raise ValueError(
                    f'cache_images=True, but the image {img_id} changes between '
                    'epochs: the pipeline augments it, so set cache_images=False'
                )
        return _encode_new(self._images, image, img_ids, encode)

    @torch.no_grad()
    def encode_text(self, model: Any, text: Tensor, text_ids: Sequence[int]) -> Tensor:
        """Embed texts, each distinct one once.

        Args:
            model (BaseRetriever): As for :meth:`encode_image`.
            text (Tensor): Token ids.
            text_ids (Sequence[int]): Ids of the texts.

        Shape:
            (N, L) -> (N, D).

        Returns:
            Tensor: Unit vectors without gradient.
        """
        return _encode_new(self._texts, text, text_ids, self.retriever(model).encode_text)

    def forget(self) -> None:
        """Empty the caches, at the beginning of an epoch.

        The last digits of an embedding depend on what it was encoded together with. A resumed run,
        which begins an epoch with nothing, would differ from one that goes on with its caches.
        """
        self._texts.clear()
        self._images.clear()

    def retriever(self, model: Any) -> Any:
        """The model before adaptation.

        Args:
            model (BaseRetriever): The retriever that is being trained; copied at the first use.

        Returns:
            BaseRetriever: The copy, in ``eval`` mode and without gradient.
        """
        if self._model is None:
            snapshot = deepcopy(model)
            # Embedding needs neither, and the source may have had another head.
            snapshot.head = snapshot.adaptation = None
            if self.source_checkpoint is None:
                print_log(
                    'FrozenSnapshot: no starting checkpoint is named (`source_checkpoint`), '
                    'so it takes the present weights; a resumed run will not have them',
                    'current',
                    logging.WARNING,
                )
            else:
                weights = own_weights(snapshot, read_state_dict(self.source_checkpoint))
                check_state_dict(snapshot, weights, self.source_checkpoint)
                snapshot.load_state_dict(weights, strict=False)
            snapshot.requires_grad_(False).eval()
            _share_frozen(snapshot, model)
            self._model = snapshot
        return self._model


def _share_frozen(snapshot: nn.Module, model: Any) -> None:
    """Let a copy use the memory of the weights that its original does not train."""
    originals = dict(model.named_parameters())
    for name, copied in snapshot.named_parameters():
        original = originals[name]
        if not original.requires_grad and torch.equal(copied, original):
            copied.data = original.data


def _checksums(image: Tensor) -> list[float]:
    """A number for each image (N, ...) that changes if it is turned or mirrored, too."""
    sums = image.double()
    while sums.dim() > 1:
        # Steeper along one side than along the other, or a transposed image would look the same.
        ramp = torch.linspace(1, sums.dim(), sums.shape[-1], dtype=sums.dtype, device=sums.device)
        sums = sums @ ramp
    return sums.tolist()


def _encode_new(
    cache: dict, rows: Tensor, keys: Sequence, encode: Callable[[Tensor], Tensor]
) -> Tensor:
    """Encode the rows whose keys are new, each key once, and look the others up."""
    new = {key: row for row, key in enumerate(keys) if key not in cache}
    if new:
        cache.update(zip(new, encode(rows[list(new.values())])))
    return torch.stack([cache[key] for key in keys])
