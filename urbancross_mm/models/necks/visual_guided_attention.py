"""Scores of image-text pairs whose text vector depends on the image."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from urbancross_mm.functional import similarity
from urbancross_mm.registry import MODELS

GATES = ('soft', 'fusion', 'sim')
CHUNK = 2**20  # numbers of one chunk of pairs, 4 MB in fp32


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
        # What the layers make of each side, once for all of its pairs.
        of_images, of_texts = (self._parts(image_feats, 0), self._parts(text_feats, 1))
        rows = max(1, CHUNK // max(text_feats.numel(), 1))
        chunks = zip(image_feats.split(rows), *(part.split(rows) for part in of_images))
        return torch.cat(
            [self._chunk(images, parts, text_feats, of_texts) for images, *parts in chunks]
        )

    def _soft(self, image_feats: Tensor, text_feats: Tensor) -> Tensor:
        gates = similarity.as_float(self.first(image_feats)).sigmoid()
        texts = similarity.as_float(text_feats)
        products = similarity.inner_product(similarity.normalize(image_feats) * gates, texts)
        squared = similarity.inner_product(gates.square(), texts.square())
        return products / squared.clamp(min=1e-24).sqrt()

    def _parts(self, feats: Tensor, side: int) -> list[Tensor]:
        """The share of one side, images 0 and texts 1, in what both say together."""
        if self.gate == 'sim':
            return [(self.first, self.second)[side](feats)]
        linear = nn.functional.linear
        return [
            linear(feats, layer.weight.chunk(2, dim=1)[side], layer.bias if side == 0 else None)
            for layer in (self.first, self.second)
        ]

    def _chunk(
        self, images: Tensor, of_images: list[Tensor], texts: Tensor, of_texts: list[Tensor]
    ) -> Tensor:
        pairs = list(zip((part.unsqueeze(1) for part in of_images), of_texts))  # (n, 1, D), (M, D)
        if self.gate == 'sim':
            ((image, text),) = pairs
            guided = (image * text).sigmoid() * texts
        else:
            gate, value = (image + text for image, text in pairs)
            guided = gate.sigmoid() * value
        return (similarity.normalize(images).unsqueeze(1) * similarity.normalize(guided)).sum(dim=2)
