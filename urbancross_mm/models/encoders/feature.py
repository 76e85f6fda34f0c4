"""A linear map over features that were computed beforehand."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from urbancross_mm.models.encoders.base import BaseEncoder
from urbancross_mm.registry import MODELS


@MODELS.register_module()
class FeatureEncoder(BaseEncoder):
    """One linear projection, for features of images (``LoadFeatures``) or of texts
    (``FeatureTokenizer``) of a frozen encoder.

    Args:
        in_channels (int): Width C of the features.
        embed_dim (int): Width D of the embedding.
        dropout (float): Dropout of the features. Defaults to 0.0.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.

    Raises:
        ValueError: If the features are not C wide.
    """

    def __init__(
        self,
        in_channels: int,
        embed_dim: int,
        dropout: float = 0.0,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.embed_dim = embed_dim
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(in_channels, embed_dim)

    def pooled(self, feats: Tensor) -> Tensor:
        """The features themselves.

        Args:
            feats (Tensor): Features.

        Shape:
            (N, C) -> (N, C).

        Returns:
            Tensor: As they came.
        """
        return feats

    def forward(self, feats: Tensor) -> Tensor:
        """Embeddings, not normalized.

        Args:
            feats (Tensor): Features of images or texts.

        Shape:
            (N, C) -> (N, D).

        Returns:
            Tensor: One vector per image or text.
        """
        if feats.dim() != 2 or feats.shape[1] != self.in_channels:
            raise ValueError(
                f'in_channels is {self.in_channels}, but the features came as '
                f'{tuple(feats.shape)}: set in_channels to their width; does the pipeline load '
                'features (LoadFeatures, FeatureTokenizer), and of this encoder?'
            )
        return self.projection(self.dropout(feats))
