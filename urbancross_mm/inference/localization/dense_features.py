"""What a model says of every position of an image, where its embedding is made of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from urbancross_mm.datasets.transforms.geometry import GeometryTransform, ResizeImage
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.localization.clip_dense import ClipPatches
from urbancross_mm.models.encoders.backbone import BackboneEncoder
from urbancross_mm.models.encoders.open_clip import OpenCLIPImageEncoder

_PROBES = (256, 512)  # pixels; the difference tells the stride


@dataclass(frozen=True)
class DenseFeatures:
    """Features of positions, and how embeddings follow from them.

    Attributes:
        resize (ResizeImage): What the test pipeline makes of a window.
        stride (int): Between two positions, in pixels of the resized window.
        across (int): Positions along the side of a window.
        box (int): Positions along the side of the square whose mean is an embedding.
        fixed (bool): Whether the encoder takes no other size than that of a window.
        encode (Callable): Normalized images to features, ``(N, 3, H, W) -> (N, C, h, w)``.
        finish (Callable): Means of features to embeddings, ``(M, C) -> (M, D)``.
    """

    resize: ResizeImage
    stride: int
    across: int
    box: int
    fixed: bool
    encode: Callable[[Tensor], Tensor]
    finish: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, embedder: Embedder) -> DenseFeatures:
        """Take them from a model.

        An image encoder with average pooling: the mean of the features of a window, projected, is
        the embedding of the window, apart from what the encoder sees beyond its border. The ViT of
        an open_clip model: see :class:`ClipPatches`.

        Args:
            embedder (Embedder): The model.

        Returns:
            DenseFeatures: Of the image encoder.

        Raises:
            ValueError: If its embeddings are made in another way.
        """
        resize = _resize_of(embedder)
        model = embedder.model
        encoder = getattr(model, 'image_encoder', None)
        if getattr(model, 'pyramid', None) is not None:
            encoder = None
        one_map = getattr(encoder, 'out_index', None) != 'all'
        if isinstance(encoder, BackboneEncoder) and encoder.pool == 'avg' and one_map:
            return cls._of_backbone(model, encoder, resize)
        if isinstance(encoder, OpenCLIPImageEncoder) and ClipPatches.fits(encoder.tower):
            patches = ClipPatches(encoder.tower)
            across = resize.width // patches.side
            return cls(resize, patches.side, across, 1, True, patches, model.finish)
        raise ValueError(
            'the dense mode needs an image encoder with average pooling (BackboneEncoder), or the '
            f"ViT of open_clip, and {type(model).__name__} has another: use the mode 'windows'"
        )

    @classmethod
    def _of_backbone(cls, model: Any, encoder: BackboneEncoder, resize: ResizeImage) -> Any:
        def encode(image: Tensor) -> Tensor:
            return encoder.encode_maps(image)[encoder.out_index]

        def finish(means: Tensor) -> Tensor:
            return model.finish(encoder.projection(means))

        device = next(encoder.parameters()).device
        try:
            with torch.no_grad():
                small, large = (
                    encode(torch.zeros(1, 3, side, side, device=device)).shape[-1]
                    for side in _PROBES
                )
        except Exception as error:  # each backbone raises what it likes
            raise ValueError(
                f'the dense mode needs a backbone for images of any size, and '
                f'{type(encoder.backbone).__name__} takes none of {_PROBES[1]} pixels ({error}): '
                "use the mode 'windows'"
            ) from error
        stride = (_PROBES[1] - _PROBES[0]) // max(1, large - small)
        across = max(1, round(resize.width / stride))
        return cls(resize, stride, across, across, False, encode, finish)


def _resize_of(embedder: Embedder) -> ResizeImage:
    moves = [step for step in embedder.pipeline.transforms if isinstance(step, GeometryTransform)]
    if len(moves) != 1 or not isinstance(moves[0], ResizeImage):
        names = [type(move).__name__ for move in moves]
        raise ValueError(
            f'the dense mode needs a test pipeline that only resizes, got {names}: use the mode '
            "'windows'"
        )
    if moves[0].width != moves[0].height:
        raise ValueError(
            f'the dense mode needs a test pipeline that resizes to a square, got '
            f'{moves[0].width} x {moves[0].height}'
        )
    return moves[0]
