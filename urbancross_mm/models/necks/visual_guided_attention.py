"""Scores of image-text pairs whose text vector depends on the image."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from urbancross_mm.functional import similarity
from urbancross_mm.registry import MODELS

GATES = ('soft', 'fusion', 'sim')
CHUNK = 2**24  # numbers of one chunk of pairs, 64 MB in fp32


@MODELS.register_module()
class VisualGuidedAttention(BaseModule):
    r"""The gate of AMFMN: an image decides which coordinates of a text count.

    .. math::
        s_{ij} = \cos(v_i, t_{ij}), \qquad t_{ij} =
        \begin{cases}
        \sigma(W v_i) \cdot t_j & \text{soft} \\
        \sigma(W [v_i; t_j]) \cdot U [v_i; t_j] & \text{fusion} \\
        \sigma(W v_i \cdot U t_j) \cdot t_j & \text{sim}
        \end{cases}

    all products by coordinate. So a text has another vector for each image, and an index cannot
    search by it. ``'soft'`` needs two matrix products; the others build the text vectors of a
    chunk of pairs at a time.

    Args:
        embed_dim (int): D. Defaults to 512.
        gate (str): ``'soft'``, ``'fusion'`` or ``'sim'``. Defaults to 'soft'.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.

    Raises:
        ValueError: If the gate is unknown.

    Reference:
        AMFMN (https://arxiv.org/abs/2204.09868), visual-guided multimodal fusion.
    """

    def __init__(
        self, embed_dim: int = 512, gate: str = 'soft', init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        if gate not in GATES:
            raise ValueError(f'gate must be one of {GATES}, got {gate!r}')
        self.gate = gate
        width = 2 * embed_dim if gate == 'fusion' else embed_dim
        self.first = nn.Linear(width, embed_dim)
        if gate != 'soft':
            self.second = nn.Linear(width, embed_dim)

    def forward(self, image_feats: Tensor, text_feats: Tensor) -> Tensor:
        """Score all pairs.

        Args:
            image_feats (Tensor): Of N images; their length matters to the gate.
            text_feats (Tensor): Of M texts.

        Shape:
            image_feats (N, D), text_feats (M, D) -> (N, M).

        Returns:
            Tensor: Cosines in fp32.
        """
        if self.gate == 'soft':
            return self._soft(image_feats, text_feats)
        rows = max(1, CHUNK // max(text_feats.numel(), 1))
        return torch.cat([self._chunk(part, text_feats) for part in image_feats.split(rows)])

    def _soft(self, image_feats: Tensor, text_feats: Tensor) -> Tensor:
        gates = similarity.as_float(self.first(image_feats)).sigmoid()
        texts = similarity.as_float(text_feats)
        products = similarity.inner_product(similarity.normalize(image_feats) * gates, texts)
        squared = similarity.inner_product(gates.square(), texts.square())
        return products / squared.clamp(min=1e-24).sqrt()

    def _chunk(self, image_feats: Tensor, text_feats: Tensor) -> Tensor:
        if self.gate == 'sim':
            products = self.first(image_feats).unsqueeze(1) * self.second(text_feats)
            texts = products.sigmoid() * text_feats
        else:
            texts = _on_pairs(self.first, image_feats, text_feats).sigmoid() * _on_pairs(
                self.second, image_feats, text_feats
            )
        images = similarity.normalize(image_feats)
        return (images.unsqueeze(1) * similarity.normalize(texts)).sum(dim=2)


def _on_pairs(layer: nn.Linear, first: Tensor, second: Tensor) -> Tensor:
    """A layer on the joined vectors of all pairs: (N, D), (M, D) -> (N, M, D)."""
    of_first, of_second = layer.weight.chunk(2, dim=1)
    return nn.functional.linear(first, of_first, layer.bias).unsqueeze(1) + nn.functional.linear(
        second, of_second
    )
