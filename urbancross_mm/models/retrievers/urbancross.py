"""UrbanCross: image, text and segments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from urbancross_mm.models.build import build_part
from urbancross_mm.models.encoders.segment_tower import SegmentTower
from urbancross_mm.models.retrievers.cross_modal import CrossModalRetriever
from urbancross_mm.registry import MODELS
from urbancross_mm.utils.state_dicts import ADAPTER


@MODELS.register_module()
class UrbanCross(CrossModalRetriever):
    r"""A cross-modal retriever whose texts are also pulled to the segments of their image.

    With v, t, g the unit vectors of image, text and pooled segments, it trains on
    :math:`L(v t^T) + L(g t^T)` and ranks by :math:`\alpha v t^T + (1 - \alpha) g t^T`.

    Args:
        image_encoder (dict): Config of the image encoder.
        text_encoder (dict): Config of the text encoder, of the same ``embed_dim``.
        head (dict, optional): Config of the head; needed to train only. Defaults to None.
        segment_encoder (dict, optional): ``mode`` (``'frozen'``, ``'trainable'``, ``'shared'``)
            and optionally ``encoder``, the config of another encoder; see
            :class:`SegmentTower`. Defaults to None, ``dict(mode='frozen')``.
        segment_pool (dict, optional): Config of the pooling. Defaults to None,
            ``dict(type='MaskedSegmentPool')``.
        eval_fusion (float): The weight alpha of the image at test time, in [0, 1]; segments are
            encoded at test time only below 1. Defaults to 1.0.
        data_preprocessor (dict, optional): Config of the preprocessor. Defaults to None.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.
        pyramid (dict, optional): See :class:`CrossModalRetriever`. Defaults to None.

    Raises:
        ValueError: If ``eval_fusion`` is outside [0, 1], or a part does not fit.

    Reference:
        UrbanCross (https://arxiv.org/abs/2404.14241).
    """

    paired_parts = ('head', 'segment_encoder')

    def __init__(
        self,
        image_encoder: dict[str, Any],
        text_encoder: dict[str, Any],
        head: dict[str, Any] | None = None,
        segment_encoder: dict[str, Any] | None = None,
        segment_pool: dict[str, Any] | None = None,
        eval_fusion: float = 1.0,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
        pyramid: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(image_encoder, text_encoder, head, data_preprocessor, init_cfg, pyramid)
        if not 0 <= eval_fusion <= 1:
            raise ValueError(f'eval_fusion must lie in [0, 1], got {eval_fusion}')
        self.eval_fusion = eval_fusion
        self.segment_encoder = SegmentTower(self.image_encoder, **(segment_encoder or {}))
        if self.segment_encoder.copies_image_tower:
            # A checkpoint may lack them: see _load_from_state_dict.
            self.optional_prefixes = ('segment_encoder.',)
        self.segment_pool = build_part(
            segment_pool or dict(type='MaskedSegmentPool'), 'segment pool'
        )

    def encode_segments(self, segments: Tensor, segment_mask: Tensor) -> Tensor:
        """Embed the segments of each image as one vector.

        Args:
            segments (Tensor): Normalized segment images.
            segment_mask (Tensor): True at valid segments; the data path leaves no image
                without one (an image without segments is its own segment).

        Shape:
            segments (B, K, 3, h, w), segment_mask (B, K) bool -> (B, D).

        Returns:
            Tensor: Unit vectors in fp32.
        """
        embeds = self.segment_encoder(segments, segment_mask, self.in_chunks)
        return self.segment_pool(embeds, segment_mask)

    def embed(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Embed what is there, segments of images included.

        Args:
            inputs (dict): ``image`` with ``segments`` (B, K, 3, h, w) and ``segment_mask``
                (B, K), and/or ``text``.

        Returns:
            dict: ``image_embeds``, ``segment_embeds`` (B, D) and/or ``text_embeds`` (M, D).

        Raises:
            ValueError: If there are images without segments.
        """
        embeds = super().embed(inputs)
        if 'image' in inputs:
            if 'segments' not in inputs:
                raise ValueError(
                    f'UrbanCross needs segments with the images, got inputs {sorted(inputs)}: '
                    'load them in the pipeline, or use CrossModalRetriever'
                )
            embeds['segment_embeds'] = self.encode_segments(
                inputs['segments'], inputs['segment_mask']
            )
        return embeds

    def embed_for_search(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Embed for ranking: the image vector is ``alpha * v + (1 - alpha) * g``.

        It is not normalized again, so its product with a text is the fused score exactly.

        Args:
            inputs (dict): As for :meth:`embed`; no segments needed with ``eval_fusion=1``.

        Returns:
            dict: ``image_embeds`` and/or ``text_embeds``; ``segment_embeds`` where encoded.
        """
        if self.eval_fusion == 1:
            return super().embed(inputs)
        embeds = self.embed(inputs)
        if 'image_embeds' in embeds:
            embeds['image_embeds'] = (
                self.eval_fusion * embeds['image_embeds']
                + (1 - self.eval_fusion) * embeds['segment_embeds']
            )
        return embeds

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """A checkpoint saved without segments starts the segment tower from its image tower."""
        image, segment = f'{prefix}image_encoder.', f'{prefix}segment_encoder.encoder.'
        if self.segment_encoder.copies_image_tower and not any(
            key.startswith(segment) for key in state_dict
        ):
            for key in [key for key in state_dict if key.startswith(image)]:
                # As in init_weights: adapters of the image tower stay there.
                if ADAPTER not in key:
                    state_dict[segment + key[len(image) :]] = state_dict[key]
        super()._load_from_state_dict(state_dict, prefix, *args)
