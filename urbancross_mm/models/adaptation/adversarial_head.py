"""The discriminator of domains."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from urbancross_mm.functional.domain import gradient_reverse
from urbancross_mm.registry import MODELS


@MODELS.register_module()
class DomainAdversarialHead(BaseModule):
    """Gradient reversal and an MLP D -> hidden -> hidden -> 1, for each modality.

    Learns from its loss as any network does; the encoders below get the gradient times
    ``-coefficient``. The coefficient is a buffer: it moves with the model and is in its
    checkpoints, and :class:`GradientReversalHook` sets it.

    Args:
        embed_dim (int, optional): D. Defaults to None: set by the retriever.
        hidden_dim (int, optional): Width of the hidden layers. Defaults to None, D.
        coefficient (float): First coefficient of the reversal; negative turns the reversal off and
            pushes the domains apart, which is what the published code does. Defaults to 1.0.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.
    """

    coefficient: Tensor

    def __init__(
        self,
        embed_dim: int | None = None,
        hidden_dim: int | None = None,
        coefficient: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.hidden_dim = hidden_dim
        self.register_buffer('coefficient', torch.tensor(float(coefficient)))
        self.discriminators = nn.ModuleDict()
        if embed_dim is not None:
            self.set_embed_dim(embed_dim)

    def set_embed_dim(self, embed_dim: int, modalities: Sequence[str] = ('image', 'text')) -> None:
        """Build the networks.

        Args:
            embed_dim (int): D.
            modalities (Sequence[str]): Those that will come: a network without a gradient stops
                distributed training. Defaults to both.
        """
        hidden = self.hidden_dim or embed_dim
        for modality in modalities:
            self.discriminators[modality] = nn.Sequential(
                nn.Linear(embed_dim, hidden),
                nn.ReLU(),
                nn.Linear(hidden, hidden),
                nn.ReLU(),
                nn.Linear(hidden, 1),
            )

    def set_coefficient(self, coefficient: float) -> None:
        """Change the factor of the reversed gradient.

        Args:
            coefficient (float): The factor.
        """
        self.coefficient.fill_(coefficient)

    def forward(self, embeds: Tensor, modality: str) -> Tensor:
        """Logits that the samples are of the source.

        Args:
            embeds (Tensor): Embeddings.
            modality (str): 'image' or 'text'.

        Shape:
            (N, D) -> (N,).

        Returns:
            Tensor: Logits.
        """
        reversed_embeds = gradient_reverse(embeds, self.coefficient)
        return self.discriminators[modality](reversed_embeds).squeeze(1)
