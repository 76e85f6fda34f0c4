"""The tower that sees the segments."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from urbancross_mm.functional import similarity
from urbancross_mm.models.build import build_part, check_widths
from urbancross_mm.models.encoders.backbone import BackboneEncoder
from urbancross_mm.models.finetuning.state import plain_state_dict

MODES = ('frozen', 'trainable', 'shared')


class SegmentTower(BaseModule):
    """Encode the valid segments of a batch, each image's own number of them.

    Unless an encoder of its own is given, the tower starts as the image tower: it is copied when
    the model is built, and again in ``init_weights`` after the image tower's own initialization,
    so that a ``Pretrained`` config of the image tower reaches both. A checkpoint brings the
    tower's own weights, or, saved without segments, those of its image tower
    (see :class:`UrbanCross`).

    A shared tower that trains BatchNorm layers keeps one set of running statistics for images and
    for segments on white, which fits neither at test time: share a tower with LayerNorm, or one
    whose BatchNorm stays in ``eval`` (``norm_eval=True``).

    Args:
        image_encoder (nn.Module): The image tower, to copy or to share.
        mode (str): ``'frozen'``: no gradient, always in ``eval``; ``'trainable'``: a tower of its
            own; ``'shared'``: the image tower itself. Defaults to 'frozen'.
        encoder (dict, optional): Config of another encoder. Defaults to None.

    Raises:
        ValueError: If the mode is unknown, ``'shared'`` comes with an encoder, or the encoder's
            width is not the image tower's.
    """

    def __init__(
        self,
        image_encoder: Any,
        mode: str = 'frozen',
        encoder: dict[str, Any] | nn.Module | None = None,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f'segment_encoder mode must be one of {MODES}, got {mode!r}')
        if mode == 'shared' and encoder is not None:
            raise ValueError("segment_encoder mode 'shared' takes no encoder of its own")
        self.mode = mode
        self.copies_image_tower = encoder is None and mode != 'shared'
        self._image_encoder = (image_encoder,)  # in a tuple: not a child of this module
        self.encoder = self._build(encoder)
        if mode == 'frozen':
            self.requires_grad_(False)
        elif isinstance(self.encoder, BackboneEncoder):
            self.encoder.freeze_unread()

    def _build(self, encoder: dict[str, Any] | nn.Module | None) -> Any:
        (image_encoder,) = self._image_encoder
        if self.copies_image_tower:
            return copy.deepcopy(image_encoder)
        if encoder is None:
            return None
        built = build_part(encoder, 'segment encoder')
        check_widths({'segment_encoder.encoder': built, 'image_encoder': image_encoder})
        return built

    def init_weights(self) -> None:
        """Follow the image tower, whose ``init_weights`` has just run: it comes first."""
        if not self.copies_image_tower:
            return super().init_weights()
        (image_encoder,) = self._image_encoder
        # Without LoRA and adapters, which are new and add nothing, and which it may have itself.
        self.encoder.load_state_dict(plain_state_dict(image_encoder), strict=False)
        self._is_init = True

    def train(self, mode: bool = True) -> SegmentTower:
        """Switch the mode; a frozen tower stays in ``eval``.

        Args:
            mode (bool): Training or not. Defaults to True.

        Returns:
            SegmentTower: Itself.
        """
        return super().train(mode and self.mode != 'frozen')

    def forward(
        self, segments: Tensor, segment_mask: Tensor, in_chunks: Callable[..., Tensor] | None = None
    ) -> Tensor:
        """Unit vectors of the valid segments, zero at padding, in fp32.

        Args:
            segments (Tensor): Normalized segment images; padding is not encoded.
            segment_mask (Tensor): True at valid segments.
            in_chunks (Callable, optional): Applies an encoder to rows; see
                :meth:`RetrieverOptions.in_chunks`. Defaults to None, all rows at once.

        Shape:
            segments (B, K, 3, h, w), segment_mask (B, K) bool -> (B, K, D).

        Returns:
            Tensor: One vector per segment.
        """
        encoder = self.encoder or self._image_encoder[0]
        valid = segments[segment_mask]  # (S, 3, h, w)
        out = segments.new_zeros(*segment_mask.shape, encoder.embed_dim, dtype=torch.float32)
        if len(valid):
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.mode != 'frozen'):
                feats = encoder(valid) if in_chunks is None else in_chunks(encoder, valid)
                out[segment_mask] = similarity.normalize(feats)
        return out
