"""Segment Anything models of any size."""

from __future__ import annotations

from functools import partial
from typing import Any

from urbancross_mm.utils.optional import import_optional

PATCH = 16


def build_sam(
    embed_dim: int = 768,
    depth: int = 12,
    num_heads: int = 12,
    global_attn_indexes: tuple[int, ...] = (2, 5, 8, 11),
    image_size: int = 1024,
    prompt_dim: int = 256,
    window_size: int = 14,
) -> Any:
    """Build an empty SAM of any size.

    Args:
        embed_dim (int): Width of the image encoder. Defaults to 768, as all that follow those of
            ViT-B.
        depth (int): Its blocks. Defaults to 12.
        num_heads (int): Its attention heads. Defaults to 12.
        global_attn_indexes (tuple[int, ...]): Its blocks that look at the whole image. Defaults
            to (2, 5, 8, 11).
        image_size (int): Longer side of the image that it sees. Defaults to 1024.
        prompt_dim (int): Width of prompts and mask decoder. Defaults to 256.
        window_size (int): Side of the windows of the other blocks. Defaults to 14.

    Returns:
        nn.Module: A ``segment_anything.modeling.Sam``.
    """
    from torch import nn

    parts = import_optional('segment_anything.modeling', 'SamSegmenter', 'segment-anything')
    encoder = parts.ImageEncoderViT(
        img_size=image_size,
        patch_size=PATCH,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=num_heads,
        out_chans=prompt_dim,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=window_size,
        global_attn_indexes=tuple(global_attn_indexes),
    )
    prompts = parts.PromptEncoder(
        embed_dim=prompt_dim,
        image_embedding_size=(image_size // PATCH,) * 2,
        input_image_size=(image_size,) * 2,
        mask_in_chans=16,
    )
    transformer = parts.TwoWayTransformer(
        depth=2, embedding_dim=prompt_dim, num_heads=8, mlp_dim=8 * prompt_dim
    )
    decoder = parts.MaskDecoder(
        transformer_dim=prompt_dim, iou_head_hidden_dim=prompt_dim, transformer=transformer
    )
    return parts.Sam(encoder, prompts, decoder)
