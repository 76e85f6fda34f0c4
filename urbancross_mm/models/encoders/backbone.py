"""Any image backbone of the OpenMMLab packages as an image encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from urbancross_mm.models.build import build_part
from urbancross_mm.models.encoders.base import BaseEncoder
from urbancross_mm.registry import MODELS

POOLS = ('avg', 'max', 'gem', 'cls')
PROJECTIONS = ('linear', 'mlp', None)


@MODELS.register_module()
class BackboneEncoder(BaseEncoder):
    """A backbone of mmpretrain, mmseg or timm, pooled and projected.

    It takes whatever a backbone returns: a feature map (N, C, H, W), tokens (N, L, C), a vector
    (N, C), or a tuple of them. A backbone with several maps (``out_indices=(0, 1, 2, 3)``) also
    gives its pyramid: :meth:`encode_maps`.

    Args:
        backbone (dict): Config, e.g. ``dict(type='mmpretrain.ResNet', depth=18)``.
        embed_dim (int, optional): Width of the embedding. Defaults to None, the width of the
            backbone; only without projection.
        in_channels (int, optional): Width C of the backbone's output. Defaults to None: found by
            one pass over a black image.
        pool (str): ``'avg'``, ``'max'``, ``'gem'`` (generalised mean, learned exponent), or
            ``'cls'``, the first token. Vectors are taken as they are. Defaults to 'avg'.
        out_index (int): Which of several outputs. Defaults to -1, the last.
        projection (str, optional): ``'linear'``, ``'mlp'`` or None. Defaults to 'linear'.
        dropout (float): Dropout before the projection. Defaults to 0.0.
        norm_eval (bool): Keep the backbone's BatchNorm in ``eval``: small batches, or weights
            whose statistics were folded. Defaults to False.
        frozen (bool): Do not train the backbone; the projection trains. Defaults to False.
        probe_size (int): Side of the black image, in pixels. Defaults to 224.
        init_cfg (dict | list[dict], optional): mmengine's initialization config; that of the
            backbone goes into ``backbone``. Defaults to None.

    Raises:
        ValueError: If the backbone is unknown, or an option is.

    Examples:
        >>> BackboneEncoder(dict(type='mmpretrain.ResNet', depth=18), embed_dim=512)
        >>> BackboneEncoder(
        ...     dict(type='mmpretrain.MobileNetV2', init_cfg=dict(
        ...         type='Pretrained', checkpoint='mobilenet_v2.pth', prefix='backbone.')),
        ...     embed_dim=512, norm_eval=True)
    """

    def __init__(
        self,
        backbone: dict[str, Any] | nn.Module,
        embed_dim: int | None = None,
        in_channels: int | None = None,
        pool: str = 'avg',
        out_index: int = -1,
        projection: str | None = 'linear',
        dropout: float = 0.0,
        norm_eval: bool = False,
        frozen: bool = False,
        probe_size: int = 224,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if pool not in POOLS:
            raise ValueError(f'pool must be one of {POOLS}, got {pool!r}')
        self.backbone = build_part(backbone, 'backbone')
        self.pool = pool
        self.out_index = out_index
        self.probe_size = probe_size
        self.norm_eval = norm_eval
        if pool == 'gem':
            self.gem_exponent = nn.Parameter(torch.tensor(3.0))
        in_channels = in_channels or self._probe(self.pooled).shape[-1]
        self.embed_dim = embed_dim or in_channels
        self.dropout = nn.Dropout(dropout)
        self.projection = _build_projection(projection, in_channels, self.embed_dim)
        if frozen:
            self.freeze('backbone')

    def _probe(self, function: Callable[[Tensor], Any]) -> Any:
        """What a black image gives; in ``eval``, so that no statistics move."""
        training = self.backbone.training
        self.backbone.eval()
        with torch.no_grad():
            result = function(torch.zeros(1, 3, self.probe_size, self.probe_size))
        self.backbone.train(training)
        return result

    def train(self, mode: bool = True) -> BackboneEncoder:
        """Switch the mode; a frozen backbone and, with ``norm_eval``, BatchNorm stay in ``eval``.

        Args:
            mode (bool): Training or not. Defaults to True.

        Returns:
            BackboneEncoder: Itself.
        """
        super().train(mode)
        if self.norm_eval:
            for module in self.backbone.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def pooled(self, image: Tensor) -> Tensor:
        """Features before the projection.

        Args:
            image (Tensor): Normalized images.

        Shape:
            (N, 3, H, W) -> (N, C).

        Returns:
            Tensor: One vector per image.

        Raises:
            ValueError: If the output cannot be pooled this way.
        """
        feats = self.backbone(image)
        return self._pooled(feats[self.out_index] if isinstance(feats, Sequence) else feats)

    def encode_maps(self, image: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the backbone, finest first.

        Args:
            image (Tensor): Normalized images.

        Shape:
            (N, 3, H, W) -> (N, C_i, H_i, W_i) for each of its ``out_indices``.

        Returns:
            tuple[Tensor]: The maps.

        Raises:
            ValueError: If the backbone returns tokens or vectors.
        """
        feats = self.backbone(image)
        maps = tuple(feats) if isinstance(feats, Sequence) else (feats,)
        for output in maps:
            if output.dim() != 4:
                raise ValueError(
                    f'{type(self.backbone).__name__} gives no feature maps, but an output of shape '
                    f"{tuple(output.shape)}: a ViT of mmpretrain needs out_type='featmap'"
                )
        return maps

    def embed_map(self, feats: Tensor) -> Tensor:
        """Features of images from one map; from map ``out_index`` they are those of ``forward``.

        Args:
            feats (Tensor): As :meth:`encode_maps` returns it, or changed on the way.

        Shape:
            (N, C, H, W) -> (N, D).

        Returns:
            Tensor: One vector per image, not normalized.
        """
        return self.projection(self.dropout(self._pooled(feats)))

    def map_shapes(self) -> list[tuple[int, int]]:
        """Channels and stride of each map, by one pass over a black image.

        Returns:
            list[tuple[int, int]]: ``(C_i, stride_i)``.
        """
        maps = self._probe(self.encode_maps)
        return [(output.shape[1], round(self.probe_size / output.shape[2])) for output in maps]

    def freeze_unread(self, read: Sequence[int]) -> None:
        """Stop training what only other maps need, such as the norm of each map of a Swin.

        DistributedDataParallel stops at a weight without a gradient.

        Args:
            read (Sequence[int]): The maps that are read.
        """
        indices = getattr(self.backbone, 'out_indices', None)
        trained = [p for p in self.backbone.parameters() if p.requires_grad]
        if not trained or not isinstance(indices, Sequence) or len(indices) < 2:
            return

        def reach(image: Tensor) -> None:
            with torch.enable_grad():
                maps = self.backbone(image)
                torch.stack([maps[index].float().sum() for index in read]).sum().backward()

        self._probe(reach)
        for parameter in trained:
            parameter.requires_grad_(parameter.grad is not None)
            parameter.grad = None

    def _pooled(self, feats: Tensor) -> Tensor:
        if feats.dim() == 2:
            return feats
        if self.pool == 'cls' and feats.dim() == 3:
            return feats[:, 0]
        if self.pool == 'cls' or feats.dim() not in (3, 4):
            raise ValueError(
                f'pool={self.pool!r} cannot pool an output of shape {tuple(feats.shape)} of '
                f'{type(self.backbone).__name__}'
            )
        # tokens (N, L, C) and maps (N, C, H, W) to (N, C, positions)
        return self._pool(feats.transpose(1, 2) if feats.dim() == 3 else feats.flatten(2))

    def _pool(self, feats: Tensor) -> Tensor:
        if self.pool == 'max':
            return feats.amax(dim=-1)
        if self.pool == 'gem':
            powers = feats.float().clamp(min=1e-6).pow(self.gem_exponent)
            return powers.mean(dim=-1).pow(1 / self.gem_exponent)
        return feats.mean(dim=-1)

    def forward(self, image: Tensor) -> Tensor:
        """Features of images, not normalized.

        Args:
            image (Tensor): Normalized images.

        Shape:
            (N, 3, H, W) -> (N, D).

        Returns:
            Tensor: One vector per image.
        """
        return self.projection(self.dropout(self.pooled(image)))


def _build_projection(kind: str | None, in_channels: int, embed_dim: int) -> nn.Module:
    if kind not in PROJECTIONS:
        raise ValueError(f'projection must be one of {PROJECTIONS}, got {kind!r}')
    if kind == 'linear':
        return nn.Linear(in_channels, embed_dim)
    if kind == 'mlp':
        return nn.Sequential(
            nn.Linear(in_channels, embed_dim), nn.GELU(), nn.Linear(embed_dim, embed_dim)
        )
    if embed_dim != in_channels:
        raise ValueError(
            f'without projection embed_dim is the width of the backbone, {in_channels}, '
            f'got {embed_dim}'
        )
    return nn.Identity()
