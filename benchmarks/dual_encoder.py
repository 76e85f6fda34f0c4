"""The small dual encoder and the items that the training benchmarks share."""

from __future__ import annotations

import torch

from urbancross_mm.structures import RetrievalDataSample

VOCABULARY, LENGTH = 500, 20
CLIP_LENGTH = 77  # open_clip's models take rows of their full length alone


def model_config(channels: int, width: int, norm_eval: bool = False) -> dict:
    """A ResNet-18 of ``channels`` and a GRU, with embeddings of ``width``."""
    return dict(
        type='CrossModalRetriever',
        data_preprocessor=dict(type='RetrievalDataPreprocessor', stats='imagenet'),
        image_encoder=dict(
            type='BackboneEncoder',
            in_channels=8 * channels,
            embed_dim=width,
            norm_eval=norm_eval,
            backbone=dict(
                type='mmpretrain.ResNet', depth=18, base_channels=channels, stem_channels=channels
            ),
        ),
        text_encoder=dict(
            type='GRUTextEncoder',
            vocab_size=VOCABULARY,
            embed_dim=width,
            word_dim=64,
            hidden_dim=64,
        ),
        head=dict(type='RetrievalHead', loss=dict(type='InfoNCELoss')),
    )


def clip_config(model_name: str | None = 'ViT-B-32', model_cfg: dict | None = None) -> dict:
    """The two towers of an open_clip model, with random weights."""
    tower = dict(model_name=model_name, model_cfg=model_cfg)
    return dict(
        type='CrossModalRetriever',
        data_preprocessor=dict(type='RetrievalDataPreprocessor', stats='imagenet'),
        image_encoder=dict(type='OpenCLIPImageEncoder', **tower),
        text_encoder=dict(type='OpenCLIPTextEncoder', **tower),
        head=dict(type='RetrievalHead', loss=dict(type='InfoNCELoss')),
    )


def make_item(
    number: int, pixels: int, domain: str, captioned: bool = True, length: int = LENGTH
) -> dict:
    """One item as the pipeline hands it over; a target's lacks the ids of its captions."""
    sample = RetrievalDataSample(
        metainfo=dict(
            img_id=f'bench/{number}',
            text_ids=[number],
            caption_text_ids=[number] if captioned else [],
            domain=domain,
        )
    )
    return dict(
        data_samples=sample,
        inputs=dict(
            image=torch.randint(0, 256, (3, pixels, pixels), dtype=torch.uint8),
            text=torch.randint(1, VOCABULARY, (1, length)),
        ),
    )
