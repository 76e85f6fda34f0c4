"""Embedding a batch of two domains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from urbancross_mm.models.retrievers.base import BaseRetriever


def embed_domains(
    retriever: BaseRetriever, inputs: dict[str, Tensor], is_target: Tensor, segments: bool = True
) -> dict[str, Tensor]:
    """Embed the samples of both domains, row by row as they came.

    BatchNorm would give both domains the statistics of their mixture, and keep those for the test,
    where there is the target alone. So with BatchNorm in training the domains go through the
    network one after the other, each with its own statistics, and only the target's are kept.
    Without it they go through together. A rank that has no target item in this step keeps nothing.

    Args:
        retriever (BaseRetriever): In training mode.
        inputs (dict[str, Tensor]): One row a sample in each.
        is_target (Tensor): Of which domain each row is.
        segments (bool): Whether what the retriever embeds besides images and sentences is
            needed. Defaults to True.

    Shape:
        is_target (B,) bool.

    Returns:
        dict[str, Tensor]: As ``retriever.embed``.

    Reference:
        AdaBN (https://arxiv.org/abs/1603.04779) for the statistics of the target.
    """
    if not any(layer.training for layer in batch_norms(retriever)) or is_target.all():
        return _embed(retriever, inputs, segments)
    if not is_target.any():
        with statistics_kept(retriever):
            return _embed(retriever, inputs, segments)
    rows = [(~is_target).nonzero()[:, 0], is_target.nonzero()[:, 0]]
    with statistics_kept(retriever):
        source = _embed(retriever, {k: value[rows[0]] for k, value in inputs.items()}, segments)
    target = _embed(retriever, {k: value[rows[1]] for k, value in inputs.items()}, segments)
    order = torch.cat(rows).argsort()
    return {name: torch.cat([source[name], target[name]])[order] for name in source}


def _embed(
    retriever: BaseRetriever, inputs: dict[str, Tensor], segments: bool
) -> dict[str, Tensor]:
    if segments:
        return retriever.embed(inputs)
    return dict(
        image_embeds=retriever.encode_image(inputs['image']),
        text_embeds=retriever.encode_text(inputs['text']),
    )


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """The BatchNorm layers of a module.

    Args:
        module (nn.Module): Any.

    Returns:
        list[nn.Module]: The layers.
    """
    return [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]


@contextmanager
def statistics_kept(module: nn.Module) -> Iterator[None]:
    """Let BatchNorm use the statistics of the batch without remembering them.

    Args:
        module (nn.Module): Holds the layers.
    """
    layers = batch_norms(module)
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    # Without a momentum the number of batches is the weight of what is remembered.
    counts = {
        layer: layer.num_batches_tracked.clone()
        for layer, momentum in zip(layers, before)
        if momentum is None and layer.num_batches_tracked is not None
    }
    try:
        yield
    finally:
        for layer, momentum in zip(layers, before):
            layer.momentum = momentum
        for layer, count in counts.items():
            layer.num_batches_tracked.copy_(count)
