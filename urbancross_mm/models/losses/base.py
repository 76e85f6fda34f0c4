"""What every image-text loss shares: argument order, precision and weight."""

from __future__ import annotations

from abc import abstractmethod

import torch
from mmengine.model import BaseModule
from torch import Tensor

from urbancross_mm.functional import similarity
from urbancross_mm.structures.batch_ids import BatchIds
from urbancross_mm.utils.devices import full_precision


class BaseRetrievalLoss(BaseModule):
    """Template of a loss on two sets of unit embeddings; a subclass writes ``compute`` only.

    Scores and losses are computed in fp32 whatever autocast and TF32 settings are on: a bf16
    cosine has three significant digits, less than the margin of a nearly solved pair.

    Args:
        loss_weight (float): Factor of the loss. Defaults to 1.0.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    @abstractmethod
    def compute(
        self, image_embeds: Tensor, text_embeds: Tensor, positives: Tensor | None
    ) -> Tensor:
        """The unweighted loss of fp32 embeddings, a scalar."""

    def diagnostics(self) -> dict[str, Tensor]:
        """Values worth logging beside the loss; no key contains the word "loss"."""
        return {}

    def forward(
        self, image_embeds: Tensor, text_embeds: Tensor, positives: Tensor | None = None
    ) -> Tensor:
        """Weighted loss of a batch.

        Args:
            image_embeds (Tensor): Unit length.
            text_embeds (Tensor): Unit length.
            positives (Tensor, optional): True where a text describes an image. Defaults to None,
                the diagonal.

        Shape:
            image_embeds (N, D), text_embeds (M, D), positives (N, M) bool.

        Returns:
            Tensor: A scalar.
        """
        with torch.autocast(image_embeds.device.type, enabled=False), full_precision():
            loss = self.compute(
                similarity.as_float(image_embeds), similarity.as_float(text_embeds), positives
            )
        return self.loss_weight * loss

    def of_scores(self, scores: Tensor, positives: Tensor | None = None) -> Tensor:
        """Weighted loss of a model that scores pairs, where no two vectors give the score.

        Args:
            scores (Tensor): In place of the inner products of N images and M texts.
            positives (Tensor, optional): As for :meth:`forward`. Defaults to None.

        Shape:
            scores (N, M), positives (N, M) bool.

        Returns:
            Tensor: A scalar.
        """
        # A matrix is its own product with the identity, exactly: so every loss can do it.
        identity = torch.eye(scores.shape[1], dtype=scores.dtype, device=scores.device)
        return self(scores, identity, positives)

    def over_ranks(
        self, image_embeds: Tensor, text_embeds: Tensor, ids: BatchIds, equal_captions: bool
    ) -> Tensor | None:
        """Weighted loss of the pairs of all ranks, for a loss that needs no gathered embeddings.

        Args:
            image_embeds (Tensor): Unit length, of this rank, row i that of text i.
            text_embeds (Tensor): Unit length, of this rank.
            ids (BatchIds): Of this rank.
            equal_captions (bool): Equal captions are positives.

        Shape:
            image_embeds, text_embeds (M, D).

        Returns:
            Tensor | None: None where they are to be gathered, the default.
        """
        return None
