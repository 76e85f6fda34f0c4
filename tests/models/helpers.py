"""Models small enough to run in milliseconds, and the inputs that go with them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from urbancross_mm.functional.pairing_plan import Target
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.models import CrossModalRetriever, UrbanCross
from urbancross_mm.models.adaptation.target_items import TargetItems
from urbancross_mm.structures import DomainBatch, RetrievalDataSample
from urbancross_mm.utils.ids import stable_id

EMBED_DIM = 16
TINY_CLIP = dict(
    embed_dim=EMBED_DIM,
    vision_cfg=dict(image_size=32, patch_size=16, width=32, layers=2, head_width=16),
    text_cfg=dict(context_length=8, vocab_size=64, width=32, heads=2, layers=2),
)
IMAGE_ENCODER = dict(type='OpenCLIPImageEncoder', model_cfg=TINY_CLIP)
TEXT_ENCODER = dict(
    type='GRUTextEncoder', vocab_size=64, embed_dim=EMBED_DIM, word_dim=8, hidden_dim=8
)
HEAD = dict(type='RetrievalHead', loss=dict(type='PairwiseRankingLoss'))


def cross_modal(**kwargs: object) -> CrossModalRetriever:
    """A small model of two towers."""
    return CrossModalRetriever(
        **{'image_encoder': IMAGE_ENCODER, 'text_encoder': TEXT_ENCODER, 'head': HEAD, **kwargs}
    )


def urbancross(mode: str = 'frozen', **kwargs: object) -> UrbanCross:
    """A small UrbanCross."""
    return UrbanCross(
        **{
            'image_encoder': IMAGE_ENCODER,
            'text_encoder': TEXT_ENCODER,
            'head': HEAD,
            'segment_encoder': dict(mode=mode),
            **kwargs,
        }
    )


def sample(img_id: str, texts: list[str], captions: list[str] | None = None) -> RetrievalDataSample:
    """A record with ids made from the texts."""
    return RetrievalDataSample(
        metainfo=dict(
            img_id=img_id,
            text_ids=[stable_id(text) for text in texts],
            caption_text_ids=[stable_id(text) for text in captions or texts],
        )
    )


def batch(size: int = 4, segments: int = 3) -> tuple[dict[str, Tensor], list]:
    """Random images with one text each; image i has 1 to ``segments`` segments."""
    count = torch.arange(size) % segments + 1
    inputs = dict(
        image=torch.randn(size, 3, 32, 32),
        text=torch.randint(1, 64, (size, 8)),
        segments=torch.randn(size, segments, 3, 32, 32),
        segment_mask=torch.arange(segments)[None] < count[:, None],
    )
    return inputs, [sample(f'set/{i}', [f'text {i}']) for i in range(size)]


def domain_batch(
    source: int = 6, target: int = 4, dim: int = EMBED_DIM, **fields: Tensor
) -> DomainBatch:
    """Random unit vectors that take a gradient, and random weights with sum 1."""

    def vectors(rows: int) -> Tensor:
        return normalize(torch.randn(rows, dim)).requires_grad_()

    weights = [torch.rand(rows) + 0.1 for rows in (source, target)]
    made = DomainBatch(
        vectors(source),
        vectors(source),
        vectors(target),
        vectors(target),
        torch.eye(source, dtype=torch.bool),
        *(item / item.sum() for item in weights),
    )
    return made._replace(**fields)


def total(losses: dict[str, Tensor]) -> Tensor:
    """The objective, as mmengine sums it."""
    return sum(value for key, value in losses.items() if 'loss' in key)


def has_grad(module: nn.Module) -> bool:
    """Whether any parameter got a gradient other than zero."""
    return any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())


def target_items(samples: list[RetrievalDataSample], dim: int = EMBED_DIM) -> TargetItems:
    """Random embeddings and features for the images and the texts of samples."""
    text_ids = list(dict.fromkeys(i for item in samples for i in item.text_ids))
    count = len(samples)
    target = Target(
        normalize(torch.randn(count, dim)),
        normalize(torch.randn(len(text_ids), dim)),
        torch.randn(count, 2 * dim),
        torch.randn(len(text_ids), 3 * dim),
        torch.ones(len(text_ids)),
    )
    img_ids = [item.img_id for item in samples]
    return TargetItems(
        target,
        torch.tensor([stable_id(img_id) for img_id in img_ids]),
        torch.tensor(text_ids),
        img_ids,
        [f'{img_id}.jpg' for img_id in img_ids],
        [f'text {i}' for i in text_ids],
    )
