"""Towers of every kind at sizes for tests."""

from __future__ import annotations

from typing import Any

from urbancross_mm.inference.embedder import Embedder

CLIP = dict(
    embed_dim=16,
    vision_cfg=dict(image_size=32, patch_size=16, width=32, layers=1, head_width=16),
    text_cfg=dict(context_length=16, vocab_size=49408, width=32, heads=2, layers=1),
)
BACKBONE = dict(type='BackboneEncoder', embed_dim=16, probe_size=32)
WORDS = dict(embed_dim=16, word_dim=8, vocab_size=49408)
IMAGE: dict[str, dict[str, Any]] = dict(
    clip=dict(type='OpenCLIPImageEncoder', model_cfg=CLIP),
    resnet=dict(
        BACKBONE,
        backbone=dict(type='mmpretrain.ResNet', depth=18, stem_channels=8, base_channels=8),
    ),
    mit=dict(
        BACKBONE,
        backbone=dict(type='mmseg.MixVisionTransformer', embed_dims=8, num_layers=[1, 1, 1, 1]),
    ),
    vit=dict(
        BACKBONE,
        backbone=dict(
            type='mmpretrain.VisionTransformer',
            arch=dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=32),
            img_size=32,
            patch_size=16,
        ),
    ),
    swin=dict(
        BACKBONE,
        probe_size=64,
        backbone=dict(
            type='mmpretrain.SwinTransformer',
            arch=dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2]),
            img_size=64,
            window_size=2,
        ),
    ),
)
TEXT: dict[str, dict[str, Any]] = dict(
    clip=dict(type='OpenCLIPTextEncoder', model_cfg=CLIP),
    cnn=dict(type='TextCNNEncoder', **WORDS),
    gru=dict(type='GRUTextEncoder', hidden_dim=8, **WORDS),
)
TOKENIZER = dict(type='OpenCLIPTokenizer', context_length=16)


def embedder_of(
    image: dict[str, Any],
    text: dict[str, Any],
    resize: list[dict[str, Any]] | None = None,
    tokenizer: dict[str, Any] = TOKENIZER,
    **model: Any,
) -> Embedder:
    """An embedder with these towers."""
    config = dict(
        type='CrossModalRetriever',
        data_preprocessor=dict(type='RetrievalDataPreprocessor', stats='imagenet'),
        image_encoder=image,
        text_encoder=text,
    )
    side = image.get('probe_size', 32)
    pipeline = [
        dict(type='LoadImage'),
        *([dict(type='ResizeImage', scale=side)] if resize is None else resize),
        dict(type='TokenizeText', tokenizer=tokenizer),
        dict(type='PackRetrievalInputs'),
    ]
    return Embedder({**config, **model}, pipeline, device='cpu')
