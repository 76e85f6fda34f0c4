"""What every adaptation loss shares: one batch of two domains in, named terms out."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor

from urbancross_mm.structures import CurriculumStage, DomainBatch
from urbancross_mm.utils.devices import full_precision


class BaseAdaptationLoss(BaseModule):
    """Template of a loss on a source and a target; a subclass writes ``compute`` only.

    Everything is computed in fp32 whatever autocast and TF32 settings are on.

    Args:
        loss_weight (float): Factor of the terms. Defaults to 1.0.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    # Whether it has to see the whole target before training, in ``set_target``.
    wants_target = False

    def set_target(self, items: Any, seed: int = 0) -> Any:
        """See all items of the target, encoded by the model before training."""

    def set_embed_dim(self, embed_dim: int) -> None:
        """Build what depends on the width of the embeddings; called once by the retriever."""

    def set_stage(self, stage: CurriculumStage) -> None:
        """Follow the curriculum; most losses do not."""

    @abstractmethod
    def compute(self, batch: DomainBatch) -> dict[str, Tensor]:
        """Unweighted terms; a key with the word "loss" enters the objective, others are logged."""

    def forward(self, batch: DomainBatch) -> dict[str, Tensor]:
        """Weighted terms of a batch.

        Args:
            batch (DomainBatch): Embeddings of both domains.

        Returns:
            dict[str, Tensor]: Scalars.
        """
        with torch.autocast(batch.source_image.device.type, enabled=False), full_precision():
            terms = self.compute(batch)
        return {
            name: self.loss_weight * value if 'loss' in name else value
            for name, value in terms.items()
        }
