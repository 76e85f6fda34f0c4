"""Embedding a batch of two domains, and what the losses see of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from urbancross_mm.structures import DomainBatch
from urbancross_mm.structures.batch_ids import BatchIds, positives, select_ids
from urbancross_mm.utils.batch_norm import batch_norms, statistics_kept


class Adaptable(Protocol):
    """What adaptation needs of a retriever; ``BaseRetriever`` has all but ``embed_dim``."""

    embed_dim: int
    head: Any
    paired_parts: Sequence[str]

    def modules(self) -> Iterator[nn.Module]:
        """All layers."""

    def encode(self, modality: str, inputs: Tensor) -> Tensor:
        """Unit vectors of images or texts."""

    def embed(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """All embeddings that the head needs."""

    def loss(self, inputs: dict[str, Tensor], data_samples: list[Any]) -> dict[str, Tensor]:
        """Losses of a batch of pairs."""


def embed_domains(
    retriever: Adaptable, inputs: dict[str, Tensor], is_target: Tensor, everything: bool = True
) -> dict[str, Tensor]:
    """Embed the samples of both domains, row by row as they came.

    BatchNorm would give both domains the statistics of their mixture, and keep those for the test,
    where there is the target alone. So with BatchNorm in training the domains go through the
    network one after the other, each with its own statistics, and only the target's are kept.
    Without it they go through together. A rank that has no target item in this step keeps nothing.

    Args:
        retriever (Adaptable): In training mode.
        inputs (dict[str, Tensor]): One row per sample in each.
        is_target (Tensor): Of which domain each row is.
        everything (bool): Embed also what the retriever embeds besides images and texts.
            Defaults to True.

    Shape:
        is_target (B,) bool.

    Returns:
        dict[str, Tensor]: As ``retriever.embed``.

    Reference:
        AdaBN (https://arxiv.org/abs/1603.04779) for the statistics of the target.
    """
    if not any(layer.training for layer in batch_norms(retriever)) or is_target.all():
        return _embed(retriever, inputs, everything)
    if not is_target.any():
        with statistics_kept(retriever):
            return _embed(retriever, inputs, everything)
    rows = [(~is_target).nonzero()[:, 0], is_target.nonzero()[:, 0]]
    with statistics_kept(retriever):
        source = _embed(retriever, {k: value[rows[0]] for k, value in inputs.items()}, everything)
    target = _embed(retriever, {k: value[rows[1]] for k, value in inputs.items()}, everything)
    order = torch.cat(rows).argsort()
    return {name: torch.cat([source[name], target[name]])[order] for name in source}


def _embed(retriever: Adaptable, inputs: dict[str, Tensor], everything: bool) -> dict[str, Tensor]:
    if everything:
        return retriever.embed(inputs)
    return dict(
        image_embeds=retriever.encode('image', inputs['image']),
        text_embeds=retriever.encode('text', inputs['text']),
    )


def domain_batch(
    embeds: dict[str, Tensor],
    ids: BatchIds,
    chosen: Tensor,
    target: Tensor,
    weights: tuple[Tensor, Tensor],
    head: Any,
) -> DomainBatch:
    """What the losses see: the chosen rows of the source and those of the target."""
    equal_captions = getattr(head, 'equal_captions', True)
    source_ids, target_ids = select_ids(ids, chosen), select_ids(ids, target)
    return DomainBatch(
        embeds['image_embeds'][chosen],
        embeds['text_embeds'][chosen],
        embeds['image_embeds'][target],
        embeds['text_embeds'][target],
        positives(source_ids, equal_captions),
        *weights,
        positives(source_ids, equal_captions, target_ids),
        target_ids.image_keys,
        target_ids.text_ids,
    )
