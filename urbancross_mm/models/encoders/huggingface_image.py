"""Any image model of transformers as an image encoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from urbancross_mm.models.encoders.huggingface_base import HuggingFaceEncoder
from urbancross_mm.registry import MODELS


@MODELS.register_module()
class HuggingFaceImageEncoder(HuggingFaceEncoder):
    """A pretrained transformers model of images, pooled and optionally projected.

    Two-tower models (CLIP, SigLIP) give their image tower, so that one folder makes both encoders
    of a retriever. Size and statistics of the images are those of ``preprocessor_config.json`` in
    the folder: set the pipeline's size, and ``mean`` and ``std`` of the data preprocessor to 255
    times ``image_mean`` and ``image_std`` (SigLIP: 127.5 for all six).

    Args:
        path (str): Local folder with config and weights, or a hub id with ``allow_download``.
        embed_dim (int, optional): Width of the embedding, through a linear projection. Defaults
            to None: the model's own width, no projection.
        pool (str): ``'pooler'`` the model's own: of CLIP and SigLIP what ``get_image_features``
            gives, projection included; ``'mean'`` over tokens or positions, ``'cls'`` the first
            token, of models with tokens. Defaults to 'pooler'.
        frozen (bool): Do not train the model; the projection trains. Defaults to False.
        trainable_layers (int, optional): Train only the last so many blocks. Defaults to None,
            all.
        allow_download (bool): Look on the hub if the folder is not there. Defaults to False.
        init_cfg (dict, optional): mmengine's initialization config. Defaults to None.

    Raises:
        ValueError: If an option is unknown, or the folder holds no image model, no feature of its
            own for ``'pooler'``, or not all weights.
        FileNotFoundError: If the model is neither on disk nor to be downloaded.
    """

    modality, input_name = 'images', 'pixel_values'
    tower_name, head_name = 'vision_model', 'visual_projection'

    def __init__(
        self,
        path: str,
        embed_dim: int | None = None,
        pool: str = 'pooler',
        frozen: bool = False,
        trainable_layers: int | None = None,
        allow_download: bool = False,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(path, pool, allow_download, init_cfg)
        config = self.model.config
        if getattr(config, 'mask_ratio', None):
            config.mask_ratio = 0.0  # ViTMAE would hide patches at random
        # SigLIP 2 reads images of any shape as a list of patches.
        self._reads_patches = 'spatial_shapes' in self.inputs
        size = getattr(config, 'image_size', None) or 224
        height, width = (size, size) if isinstance(size, int) else size
        black = torch.zeros(1, getattr(config, 'num_channels', 3), height, width)
        self._finish(black, embed_dim, frozen, trainable_layers)

    def pooled(self, image: Tensor) -> Tensor:
        """Features before the projection.

        Args:
            image (Tensor): Images, normalized with the model's own statistics.

        Shape:
            (N, 3, H, W) -> (N, C).

        Returns:
            Tensor: One vector per image.
        """
        out = self.model(
            **self._patches(image) if self._reads_patches else dict(pixel_values=image)
        )
        if self.pool == 'pooler':
            return self._own_feature(out)
        states = getattr(out, 'last_hidden_state', None)
        if states is None or states.dim() not in (3, 4) or (states.dim(), self.pool) == (4, 'cls'):
            shape = 'none' if states is None else f'of shape {tuple(states.shape)}'
            raise ValueError(
                f'pool={self.pool!r} cannot pool the states of the {type(self.model).__name__} at '
                f"{self.path!r} ({shape}): 'cls' takes tokens (N, L, C), 'mean' also maps "
                '(N, C, H, W)'
            )
        if states.dim() == 4:
            states = states.flatten(2).transpose(1, 2)
        return states[:, 0] if self.pool == 'cls' else states.mean(dim=1)

    def _patches(self, image: Tensor) -> dict[str, Tensor]:
        """Rows of patches, channels last, and how many of them stand beside and below each other.

        (N, 3, H, W) -> pixel_values (N, H / P * W / P, P * P * 3), spatial_shapes (N, 2).
        """
        side = self.model.config.patch_size
        grid = image.shape[2] // side, image.shape[3] // side
        tiles = image.unflatten(3, (grid[1], side)).unflatten(2, (grid[0], side))
        rows = tiles.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        return dict(
            pixel_values=rows,
            attention_mask=torch.ones_like(rows[..., 0], dtype=torch.long),
            spatial_shapes=torch.tensor([grid] * len(image), device=image.device),
        )
