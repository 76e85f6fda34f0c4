"""Any image backbone of the OpenMMLab packages as an encoder of images or spectrograms."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from urbancross_mm.models.encoders.backbone_outputs import POOLS, pool_output
from urbancross_mm.models.encoders.backbone_reader import BackboneReader
from urbancross_mm.registry import MODELS

PROJECTIONS = ('linear', 'mlp', None)


@MODELS.register_module()
class BackboneEncoder(BackboneReader):
    """A backbone of mmpretrain, mmseg or timm, pooled and projected.

    It takes whatever a backbone returns: a feature map (N, C, H, W), tokens (N, L, C), a vector
    (N, C), or a tuple of them, nested or not. In training it reads what evaluation reads, also of
    a backbone that then returns more. A backbone with several maps (``out_indices=(0, 1, 2, 3)``)
    also gives its pyramid: :meth:`encode_maps`.

    Weights that no output in use depends on do not train, because DistributedDataParallel stops
    at a weight without a gradient; the log counts them.

    Spectrograms (N, 1, mel, frames) are images too, of any height and width that the backbone
    takes. One channel is repeated to those that the backbone reads, so weights learned on photos
    fit. No row at all gives no vector.

    Args:
        backbone (dict): Config, e.g. ``dict(type='mmpretrain.ResNet', depth=18)``.
        embed_dim (int, optional): Width of the embedding. Defaults to None, the width of the
            backbone; only without projection.
        in_channels (int, optional): Width C of the backbone's output. Defaults to None: found by
            one pass over a black image.
        pool (str): ``'avg'``, ``'max'``, ``'gem'`` (generalised mean, learned exponent), or
            ``'cls'``, the first token. Vectors are taken as they are. Defaults to 'avg'.
        out_index (int | str): Which of several outputs; ``'all'`` puts the vectors of all side by
            side, which HRNet and BiSeNet need to train whole. Defaults to -1, the last.
        projection (str, optional): ``'linear'``, ``'mlp'`` or None. Defaults to 'linear'.
        dropout (float): Dropout before the projection. Defaults to 0.0.
        norm_eval (bool): Keep the backbone's BatchNorm in ``eval``: small batches, or weights
            whose statistics were folded. Defaults to False.
        frozen (bool): Do not train the backbone; the projection trains. Defaults to False.
        probe_size (int): Side of the black image, in pixels. Defaults to 224.
        image_channels (int): Channels that the backbone reads. Defaults to 3.
        init_cfg (dict | list[dict], optional): mmengine's initialization config; that of the
            backbone goes into ``backbone``. Defaults to None.

    Raises:
        ValueError: If the backbone is unknown, or an option is; if it takes no image of
            ``probe_size``, or no pooling fits its output.

    Examples:
        >>> BackboneEncoder(dict(type='mmpretrain.ResNet', depth=18), embed_dim=512)
        >>> BackboneEncoder(
        ...     dict(type='mmpretrain.MobileNetV2', init_cfg=dict(
        ...         type='Pretrained', checkpoint='mobilenet_v2.pth', prefix='backbone.')),
        ...     embed_dim=512, norm_eval=True)
        >>> BackboneEncoder(  # spectrograms, from scratch
        ...     dict(type='mmpretrain.ResNet', depth=18, in_channels=1),
        ...     embed_dim=512, image_channels=1)
    """

    def __init__(
        self,
        backbone: dict[str, Any] | nn.Module,
        embed_dim: int | None = None,
        in_channels: int | None = None,
        pool: str = 'avg',
        out_index: int | str = -1,
        projection: str | None = 'linear',
        dropout: float = 0.0,
        norm_eval: bool = False,
        frozen: bool = False,
        probe_size: int = 224,
        image_channels: int = 3,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        if pool not in POOLS:
            raise ValueError(f'pool must be one of {POOLS}, got {pool!r}')
        super().__init__(backbone, out_index, probe_size, image_channels, init_cfg)
        self.pool = pool
        self.norm_eval = norm_eval
        self.gem_exponent = nn.Parameter(torch.tensor(3.0)) if pool == 'gem' else None
        if frozen:
            self.freeze('backbone')
        found = in_channels if frozen and in_channels else self.look(in_channels)
        width = in_channels or found
        self.embed_dim = embed_dim or width
        self.dropout = nn.Dropout(dropout)
        self.projection = _build_projection(projection, width, self.embed_dim)

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
            image (Tensor): Normalized images or spectrograms, C_in = 1 or ``image_channels``.

        Shape:
            (N, C_in, H, W) -> (N, C).

        Returns:
            Tensor: One vector per image.

        Raises:
            ValueError: If the output cannot be pooled this way.
        """
        return self.pool_output(self.pick(self.outputs(image)))

    def encode_maps(self, image: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the backbone, finest first.

        Args:
            image (Tensor): Normalized images or spectrograms, C_in = 1 or ``image_channels``.

        Shape:
            (N, C_in, H, W) -> (N, C_i, H_i, W_i) for each of its ``out_indices``.

        Returns:
            tuple[Tensor]: The maps.

        Raises:
            ValueError: If the backbone returns tokens or vectors.
        """
        maps = tuple(self.outputs(image))
        for output in maps:
            if not isinstance(output, Tensor) or output.dim() != 4:
                shape = getattr(output, 'shape', None)
                raise ValueError(
                    f'{type(self.backbone).__name__} gives no feature maps, but an output of shape '
                    f"{shape and tuple(shape)}: a ViT of mmpretrain needs out_type='featmap'"
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
        return self.projection(self.dropout(self.pool_output(feats)))

    def map_shapes(self) -> list[tuple[int, int]]:
        """Channels and stride of each map, by one pass over a black image.

        Returns:
            list[tuple[int, int]]: ``(C_i, stride_i)``.
        """
        maps = self.probe(self.encode_maps)
        return [(output.shape[1], round(self.probe_size / output.shape[2])) for output in maps]

    def pool_output(self, output: Any) -> Tensor:
        """One vector per image from one output, or from several side by side.

        Args:
            output (Any): Of the backbone.

        Shape:
            (N, C), (N, L, C) or (N, C, H, W) -> (N, C).

        Returns:
            Tensor: The vectors.

        Raises:
            ValueError: If it cannot be pooled this way.
        """
        return pool_output(output, self.pool, self.gem_exponent, self.backbone)

    def forward(self, image: Tensor) -> Tensor:
        """Features of images, not normalized.

        Args:
            image (Tensor): Normalized images or spectrograms, C_in = 1 or ``image_channels``.

        Shape:
            (N, C_in, H, W) -> (N, D).

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
