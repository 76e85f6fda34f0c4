"""The pairwise sigmoid loss of SigLIP."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from urbancross_mm.functional import contrastive, similarity
from urbancross_mm.models.losses.base import BaseRetrievalLoss
from urbancross_mm.models.losses.siglip_chunks import siglip_in_chunks, siglip_over_ranks
from urbancross_mm.registry import MODELS
from urbancross_mm.structures.batch_ids import BatchIds
from urbancross_mm.utils.devices import full_precision


@MODELS.register_module()
class SigLIPLoss(BaseRetrievalLoss):
    """Independent binary classification of every image-text pair.

    Scale and bias are learned. The first bias makes all pairs look negative, as nearly all are.

    With ``chunk_size`` no rank holds the matrix of all pairs, or the embeddings of all ranks: for a
    batch B on W ranks its memory is B/W x ``chunk_size``. Loss and gradient are the same.

    Args:
        init_scale (float): First factor of the cosines. Defaults to 10.0.
        init_bias (float): First bias. Defaults to -10.0.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        chunk_size (int, optional): Texts to compare at a time. Defaults to None, all.

    Raises:
        ValueError: If ``init_scale`` is not positive, or ``chunk_size`` no number from 1.

    Reference:
        SigLIP (https://arxiv.org/abs/2303.15343), algorithm 1.
    """

    def __init__(
        self,
        init_scale: float = 10.0,
        init_bias: float = -10.0,
        loss_weight: float = 1.0,
        chunk_size: int | None = None,
    ) -> None:
        super().__init__(loss_weight)
        if init_scale <= 0:
            raise ValueError(f'init_scale must be positive, got {init_scale}')
        if chunk_size is not None and (not isinstance(chunk_size, int) or chunk_size < 1):
            raise ValueError(f'chunk_size must be a whole number from 1, got {chunk_size!r}')
        self.chunk_size = chunk_size
        self.logit_scale = nn.Parameter(torch.tensor(math.log(init_scale)))
        self.logit_bias = nn.Parameter(torch.tensor(float(init_bias)))

    def diagnostics(self) -> dict[str, Tensor]:
        """Scale and bias in force, as ``logit_scale`` and ``logit_bias``."""
        return {
            'logit_scale': self.logit_scale.detach().exp(),
            'logit_bias': self.logit_bias.detach(),
        }

    def compute(
        self, image_embeds: Tensor, text_embeds: Tensor, positives: Tensor | None
    ) -> Tensor:
        """Loss of N images and M texts."""
        learned = self.logit_scale.exp(), self.logit_bias
        if self.chunk_size is None:
            return contrastive.siglip(image_embeds, text_embeds, *learned, positives)
        return siglip_in_chunks(image_embeds, text_embeds, *learned, positives, self.chunk_size)

    def over_ranks(
        self, image_embeds: Tensor, text_embeds: Tensor, ids: BatchIds, equal_captions: bool
    ) -> Tensor | None:
        """Weighted loss of the pairs of all ranks, by chunks.

        Args:
            image_embeds (Tensor): Unit length, of this rank, row i that of text i.
            text_embeds (Tensor): Unit length, of this rank.
            ids (BatchIds): Of this rank.
            equal_captions (bool): Equal captions are positives.

        Shape:
            image_embeds, text_embeds (M, D).

        Returns:
            Tensor | None: A scalar, the same on every rank; None without a ``chunk_size``.
        """
        if self.chunk_size is None:
            return None
        embeds = similarity.as_float(image_embeds), similarity.as_float(text_embeds)
        learned = self.logit_scale.exp(), self.logit_bias
        with torch.autocast(image_embeds.device.type, enabled=False), full_precision():
            loss = siglip_over_ranks(*embeds, *learned, ids, equal_captions, self.chunk_size)
        return self.loss_weight * loss
