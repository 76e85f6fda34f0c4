"""AMFMN: a text gets another vector for each image."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from urbancross_mm.functional import similarity
from urbancross_mm.models.build import build_part
from urbancross_mm.models.retrievers.cross_modal import CrossModalRetriever
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import RetrievalDataSample
from urbancross_mm.utils.devices import full_precision

PUBLISHED = MappingProxyType(dict(weighting=dict(type='MultiscaleVisualNeck')))


class PairScorer:
    """Scores all pairs of images and texts, such that no rounding decides a rank.

    A data sample carries it to the metrics. It is written to a file without the gate, so a dump
    of data samples holds no weights.

    Args:
        gate (nn.Module, optional): Scores N images and M texts, ``(N, D), (M, D) -> (N, M)``.
            Defaults to None: one that was read from a file, and cannot score.
    """

    def __init__(self, gate: nn.Module | None = None) -> None:
        self.gate = gate

    @torch.no_grad()
    def __call__(self, image_feats: Tensor, text_feats: Tensor) -> Tensor:
        """Score all pairs, where the weights of the gate are.

        Args:
            image_feats (Tensor): Features of N images.
            text_feats (Tensor): Features of M texts.

        Shape:
            image_feats (N, D), text_feats (M, D) -> (N, M).

        Returns:
            Tensor: float64, on the device of the images.

        Raises:
            ValueError: If it was read from a file.
        """
        if self.gate is None:
            raise ValueError('data samples from a file cannot be scored: predict them again')
        gate = copy.deepcopy(self.gate).double()
        device = next(gate.parameters()).device
        with torch.autocast(device.type, enabled=False):
            scores = gate(*(feats.to(device, torch.float64) for feats in (image_feats, text_feats)))
        return scores.to(image_feats.device)

    def __reduce__(self) -> tuple[type, tuple]:
        return type(self), ()


@MODELS.register_module()
class AMFMN(CrossModalRetriever):
    r"""A cross-modal retriever that scores pairs: an image gates the coordinates of a text.

    .. math:: s_{ij} = \cos(v_i, t_{ij})

    with the vector :math:`t_{ij}` of text j for image i by :class:`VisualGuidedAttention`. It
    trains as a :class:`CrossModalRetriever` does, on these scores of the pairs of all ranks. The
    embeddings that ``predict`` leaves are what the gate reads. Their length counts, and their
    inner products are no scores: ``score_pairs`` gives those, and each data sample carries it.

    Args:
        image_encoder (dict): Config of a :class:`BackboneEncoder` with several maps.
        text_encoder (dict): Config of the text encoder, of the same ``embed_dim``.
        attention (dict, optional): Arguments of :class:`VisualGuidedAttention`:
            ``dict(gate='soft' | 'fusion' | 'sim')``. Defaults to None: those of the class.
        pyramid (dict | None): Arguments of :class:`ImagePyramid`, whose ``weighting`` is
            :class:`MultiscaleVisualNeck` unless they say otherwise. None: the encoder's own
            vector. Defaults to dict().
        head (dict, optional): Config of the head; needed to train only. Defaults to None.
        data_preprocessor (dict, optional): Config of the preprocessor. Defaults to None.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.

    Raises:
        ValueError: If a part does not fit.

    Reference:
        AMFMN: Exploring a Fine-Grained Multiscale Method for Cross-Modal Remote Sensing Image
        Retrieval (https://arxiv.org/abs/2204.09868).
    """

    not_adaptable = 'it scores pairs, and the losses of an adaptation compare embeddings'

    def __init__(
        self,
        image_encoder: dict[str, Any],
        text_encoder: dict[str, Any],
        attention: Mapping[str, Any] | None = None,
        pyramid: Mapping[str, Any] | None = MappingProxyType({}),
        head: dict[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        parts = None if pyramid is None else {**PUBLISHED, **pyramid, 'normalized': False}
        super().__init__(
            image_encoder, text_encoder, head, data_preprocessor, init_cfg, pyramid=parts
        )
        cfg = {'type': 'VisualGuidedAttention', 'embed_dim': self.embed_dim, **(attention or {})}
        self.attention = build_part(cfg, 'attention')

    def score_pairs(self, image_feats: Tensor, text_feats: Tensor) -> Tensor:
        """Score all pairs.

        Args:
            image_feats (Tensor): Of :meth:`encode_image`.
            text_feats (Tensor): Of :meth:`encode_text`.

        Shape:
            image_feats (N, D), text_feats (M, D) -> (N, M).

        Returns:
            Tensor: Cosines in float64, without gradient, on the device of the images.
        """
        return PairScorer(self.attention)(image_feats, text_feats)

    def finish(self, feats: Tensor) -> Tensor:
        """The features of an item as they are: the gate reads their length.

        Args:
            feats (Tensor): Of an encoder.

        Shape:
            (N, D) -> (N, D).

        Returns:
            Tensor: fp32, of any length.
        """
        return similarity.as_float(feats)

    def predict(
        self,
        inputs: dict[str, Tensor],
        data_samples: list[RetrievalDataSample] | None = None,
    ) -> list[RetrievalDataSample]:
        """Write features into the data samples, and ``score_pairs``, which ranks them.

        Args:
            inputs (dict): See :class:`BaseRetriever`.
            data_samples (list, optional): See :class:`BaseRetriever`. Defaults to None.

        Returns:
            list[RetrievalDataSample]: See :class:`CrossModalRetriever`.
        """
        samples = super().predict(inputs, data_samples)
        for sample in samples:
            sample.set_data(dict(score_pairs=PairScorer(self.attention)))
        return samples

    def retrieval_losses(
        self, embeds: dict[str, Tensor], data_samples: list[RetrievalDataSample]
    ) -> dict[str, Tensor]:
        """What the head says of the scores of all pairs of a batch, with those of other ranks.

        Args:
            embeds (dict): Of :meth:`embed`.
            data_samples (list[RetrievalDataSample]): See :class:`CrossModalRetriever`.

        Returns:
            dict[str, Tensor]: ``loss_image_text`` and the head's other terms.
        """
        return self.head.loss(data_samples=data_samples, score_pairs=self._scores, **embeds)

    def _scores(self, image_feats: Tensor, text_feats: Tensor) -> Tensor:
        with torch.autocast(image_feats.device.type, enabled=False), full_precision():
            return self.attention(image_feats, text_feats)
