"""A classifier that tells from which modality a vector comes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional

from urbancross_mm.functional import similarity
from urbancross_mm.registry import MODELS


@MODELS.register_module()
class ModalDiscriminator(BaseModule):
    """An MLP D -> hidden -> K over the names of K modalities.

    It learns by :meth:`loss`, the encoders against it by :class:`ModalConfusionLoss`. Nothing is
    reversed here: each side has an optimizer of its own.

    Args:
        embed_dim (int): D. Defaults to 512.
        modalities (Sequence[str]): Names, in the order of the classes.
            Defaults to ('image', 'text', 'audio').
        hidden_dim (int): Width of the hidden layer. Defaults to 128.
        dropout (float): After the hidden layer. Defaults to 0.1.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.

    Raises:
        ValueError: If there are fewer than two modalities, or one has two classes.

    Reference:
        MCRN, adversarial pre-training.
    """

    def __init__(
        self,
        embed_dim: int = 512,
        modalities: Sequence[str] = ('image', 'text', 'audio'),
        hidden_dim: int = 128,
        dropout: float = 0.1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.modalities = tuple(modalities)
        if len(set(self.modalities)) != len(self.modalities) or len(self.modalities) < 2:
            raise ValueError(f'modalities must be two names or more, got {self.modalities}')
        self.layers = nn.Sequential(
            nn.Linear(embed_dim, hidden_dim),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, len(self.modalities)),
        )

    def label(self, modality: str) -> int:
        """Class of a modality.

        Args:
            modality (str): Its name.

        Returns:
            int: From 0.

        Raises:
            ValueError: If it has none.
        """
        if modality not in self.modalities:
            raise ValueError(f'modality must be one of {self.modalities}, got {modality!r}')
        return self.modalities.index(modality)

    def forward(self, feats: Tensor) -> Tensor:
        """Logits of each modality.

        Args:
            feats (Tensor): Vectors of any modality.

        Shape:
            (N, D) -> (N, K).

        Returns:
            Tensor: Logits.
        """
        return self.layers(feats)

    def loss(self, feats: Tensor, modality: str) -> Tensor:
        """How badly it tells the modality; no gradient reaches the vectors.

        Args:
            feats (Tensor): Vectors of one modality.
            modality (str): Its name.

        Shape:
            (N, D) -> a scalar.

        Returns:
            Tensor: Cross-entropy, the mean over the vectors.
        """
        logits = similarity.as_float(self(feats.detach()))
        label = torch.full((len(feats),), self.label(modality), device=feats.device)
        return functional.cross_entropy(logits, label)
