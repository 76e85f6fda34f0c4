"""SIRS: retrieval with an auxiliary segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from urbancross_mm.models.retrievers.cross_modal import CrossModalRetriever
from urbancross_mm.registry import MODELS

PUBLISHED = dict(
    attention=dict(type='SemanticSpatialAttention'),
    weighting=dict(type='AdaptiveMultiscaleWeighting'),
)


@MODELS.register_module()
class SIRS(CrossModalRetriever):
    """A cross-modal retriever with the three parts of SIRS on the maps of its image encoder.

    It is a :class:`CrossModalRetriever` whose ``pyramid`` has the published attention and
    weighting, unless the config says otherwise; ``pyramid=dict(attention=None)`` leaves one out.

    Args:
        image_encoder (dict): Config of a :class:`BackboneEncoder` with several maps.
        text_encoder (dict): Config of the text encoder, of the same ``embed_dim``.
        pyramid (dict | None): Arguments of :class:`ImagePyramid`; ``decode_head`` is what it
            segments with. None: the encoder's own vector, the variant ``base``.
        **kwargs: ``head``, ``data_preprocessor`` and ``init_cfg`` of
            :class:`CrossModalRetriever`.

    Raises:
        ValueError: If a part does not fit.

    Reference:
        SIRS: Multitask Joint Learning for Remote Sensing Foreground-Entity Image-Text Retrieval
        (TGRS 2024).
    """

    def __init__(
        self,
        image_encoder: dict[str, Any],
        text_encoder: dict[str, Any],
        pyramid: Mapping[str, Any] | None,
        **kwargs: Any,
    ) -> None:
        parts = None if pyramid is None else {**PUBLISHED, **pyramid}
        super().__init__(image_encoder, text_encoder, pyramid=parts, **kwargs)
