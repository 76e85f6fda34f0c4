"""Features of the patches of CLIP's ViT that can be compared with texts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention

_GLOBAL = 0.3  # of the image's own vector, which every patch carries


class ClipPatches:
    """The ViT of open_clip with another last block, as training-free segmentation uses it.

    In the last block every patch looks at the patches with queries like its own, not with keys, and
    neither the residual nor the feed-forward layer is added (ClearCLIP, arXiv 2407.12442). 0.3 of
    the vector of the whole image is taken from each patch (SegEarth-OV, arXiv 2410.01768).

    Args:
        tower (nn.Module): ``visual`` of an open_clip model; see :meth:`fits`.
    """

    def __init__(self, tower: Any) -> None:
        self.tower = tower
        self.side = tower.conv1.stride[0]

    @staticmethod
    def fits(tower: Any) -> bool:
        """Whether a tower is a ViT whose last block this class knows.

        Args:
            tower (Any): ``visual`` of an open_clip model.

        Returns:
            bool: False for convolutions, towers of timm, and those that pool by attention.
        """
        blocks: Any = getattr(getattr(tower, 'transformer', None), 'resblocks', [])
        return (
            len(blocks) > 0
            and hasattr(tower, 'conv1')
            and getattr(tower, 'attn_pool', None) is None
            and getattr(blocks[-1].attn, 'in_proj_weight', None) is not None
        )

    def __call__(self, image: Tensor) -> Tensor:
        """Encode patches.

        Args:
            image (Tensor): Normalized images.

        Shape:
            (N, 3, H, W) -> (N, D, h, w).

        Returns:
            Tensor: One vector per patch, not normalized.
        """
        tower = self.tower
        tokens = tower._embeds(image)
        last = tower.transformer.resblocks[-1]
        # Blocks built with batch_first=False want the tokens first.
        first = last.attn.batch_first
        tokens = tokens if first else tokens.transpose(0, 1)
        for block in tower.transformer.resblocks[:-1]:
            tokens = block(tokens)
        whole = last(tokens)
        tokens, whole = (x if first else x.transpose(0, 1) for x in (tokens, whole))
        patches = tower.ln_post(_query_attention(last, tokens)[:, 1:])
        pooled = tower._pool(whole)[0]
        if tower.proj is not None:
            patches, pooled = patches @ tower.proj, pooled @ tower.proj
        patches = patches - _GLOBAL * pooled[:, None]
        grid = image.shape[-2] // self.side, image.shape[-1] // self.side
        return patches.transpose(1, 2).unflatten(2, grid)


def _query_attention(block: Any, tokens: Tensor) -> Tensor:
    """The attention of a block with its queries in place of its keys, ``(N, L, C)`` to the same."""
    attention = block.attn
    merged = linear(block.ln_1(tokens), attention.in_proj_weight, attention.in_proj_bias)
    query, _, value = (
        part.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
        for part in merged.chunk(3, dim=-1)
    )
    mixed = scaled_dot_product_attention(query, query, value)
    return torch.as_tensor(attention.out_proj(mixed.transpose(1, 2).flatten(2)))
