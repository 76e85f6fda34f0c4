"""One network that brings the vectors of all modalities into one space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional

from urbancross_mm.functional import similarity
from urbancross_mm.registry import MODELS

MEMORIES = ('orthogonal', 'uniform')
ANY = 'any'  # the one norm of all modalities
GATE_HIDDEN = 2  # width of the hidden layer of the gates, in D
GATE_DROPOUT = 0.2


@MODELS.register_module()
class SharedPatternTransfer(BaseModule):
    r"""SPTM: a gated sum of learned linear maps between two transformer encoders.

    .. math::
        x = E_1(\mathrm{BN}(f / \|f\|)), \quad c = \sigma(\mathrm{MLP}(x)), \quad
        g = E_2\Big(\sum_k c_k \, x M_k\Big)

    The same maps serve every modality. The gates c are independent, no softmax. With
    ``modalities`` each has a BN of its own: features of different encoders differ in mean and
    spread, and statistics of their mixture fit none of them at test time.

    A vector is a sequence of one token, and attention over one token weighs it by 1: each attention
    layer is a linear map, and its queries and keys change nothing. They are kept so that sizes are
    as published; the encoders add capacity, not interaction.

    In training, a batch of one vector is normalized by the running statistics, since it has no
    statistics of its own.

    Args:
        embed_dim (int): D.
        patterns (int): Number of maps M. Defaults to 3.
        layers (int): Layers of each encoder. Defaults to 1.
        heads (int): Heads of the attention; they divide D. Defaults to 8.
        hidden_dim (int): Width of the feed-forward layers. Defaults to 768.
        dropout (float): In the encoders. Defaults to 0.1.
        memory (str): First values of the M. ``'orthogonal'`` keeps lengths; ``'uniform'``, in
            [0, 1) as released, multiplies them by about :math:`\sqrt{D / 12}`.
            Defaults to 'orthogonal'.
        modalities (Sequence[str], optional): Names of those that get a BN of their own.
            Defaults to None: one for all, as published.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.

    Raises:
        ValueError: If ``memory`` is unknown, or there is no pattern.

    Reference:
        MCRN, shared pattern transfer module.
    """

    def __init__(
        self,
        embed_dim: int = 512,
        patterns: int = 3,
        layers: int = 1,
        heads: int = 8,
        hidden_dim: int = 768,
        dropout: float = 0.1,
        memory: str = 'orthogonal',
        modalities: Sequence[str] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if memory not in MEMORIES:
            raise ValueError(f'memory must be one of {MEMORIES}, got {memory!r}')
        if patterns < 1:
            raise ValueError(f'patterns must be 1 at least, got {patterns}')
        self.embed_dim = embed_dim
        names = (ANY,) if modalities is None else modalities
        self.norms = nn.ModuleDict({name: nn.BatchNorm1d(embed_dim) for name in names})
        self.first = _encoder(embed_dim, layers, heads, hidden_dim, dropout)
        self.gates = nn.Sequential(
            nn.Linear(embed_dim, GATE_HIDDEN * embed_dim),
            nn.GELU(),
            nn.Dropout(GATE_DROPOUT),
            nn.Linear(GATE_HIDDEN * embed_dim, patterns),
            nn.Sigmoid(),
        )
        self.memory = nn.Parameter(torch.empty(patterns, embed_dim, embed_dim))
        for pattern in self.memory.data:
            (nn.init.orthogonal_ if memory == 'orthogonal' else nn.init.uniform_)(pattern)
        self.second = _encoder(embed_dim, layers, heads, hidden_dim, dropout)

    def forward(self, feats: Tensor, modality: str = ANY) -> Tensor:
        """Shared features of one modality.

        Args:
            feats (Tensor): Features of an encoder, of any length.
            modality (str): Which, where each has a BN of its own. Defaults to 'any'.

        Shape:
            (N, D) -> (N, D); N may be 0.

        Returns:
            Tensor: Not normalized.
        """
        norm = self.norms[modality if modality in self.norms else ANY]
        feats = self.first(_standardized(norm, similarity.normalize(feats)).unsqueeze(1)).squeeze(1)
        mapped = torch.einsum('nd,kde->nke', feats, self.memory)
        mixed = (self.gates(feats).unsqueeze(2) * mapped).sum(dim=1)
        return self.second(mixed.unsqueeze(1)).squeeze(1)


def _standardized(norm: Any, feats: Tensor) -> Tensor:
    if len(feats) > 1:
        return norm(feats)
    return functional.batch_norm(
        feats, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
    )


def _encoder(width: int, layers: int, heads: int, hidden_dim: int, dropout: float) -> nn.Module:
    """Pre-norm layers and a final norm."""
    layer = nn.TransformerEncoderLayer(
        width, heads, hidden_dim, dropout, batch_first=True, norm_first=True
    )
    encoder = nn.TransformerEncoder(
        layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
    )
    for parameter in encoder.parameters():  # else all layers are copies of one
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
    return encoder
