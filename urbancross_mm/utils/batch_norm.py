"""Running statistics of BatchNorm."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class HasModules(Protocol):
    """A module, or what has modules."""

    def modules(self) -> Iterator[nn.Module]:
        """All layers."""


def batch_norms(module: HasModules) -> list[_BatchNorm]:
    """The BatchNorm layers of a module.

    Args:
        module (nn.Module): Any.

    Returns:
        list[nn.Module]: The layers.
    """
    return [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]


def equal_batches(count: int, most: int) -> list[list[int]]:
    """Split items into batches that count the same in the mean of their statistics.

    Args:
        count (int): Items.
        most (int): Items of a batch. One more where a batch of one item would be left, which has
            no variance.

    Returns:
        list[list[int]]: Positions in order; the sizes differ by one at most.
    """
    parts = max(1, min(math.ceil(count / most), count // 2))
    return [part.tolist() for part in torch.arange(count).tensor_split(parts)]


@contextmanager
def statistics_replaced(layers: Sequence[_BatchNorm]) -> Iterator[None]:
    """Replace the running statistics by the mean over the batches that pass inside.

    Args:
        layers (Sequence[nn.Module]): BatchNorm layers. All batches count the same, so they should
            be of one size (:func:`equal_batches`).

    Reference:
        AdaBN (https://arxiv.org/abs/1603.04779).
    """
    before = [(layer.training, layer.momentum) for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.train()
        layer.momentum = None  # torch: the mean over all batches
    try:
        yield
    finally:
        for layer, (training, momentum) in zip(layers, before):
            layer.train(training)
            layer.momentum = momentum


@contextmanager
def statistics_kept(module: HasModules) -> Iterator[None]:
    """Let BatchNorm use the statistics of the batch without remembering them.

    Args:
        module (nn.Module): Holds the layers.
    """
    layers = batch_norms(module)
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    # Without a momentum the number of batches is the weight of what is remembered.
    counts = [
        (layer.num_batches_tracked, layer.num_batches_tracked.clone())
        for layer, momentum in zip(layers, before)
        if momentum is None and layer.num_batches_tracked is not None
    ]
    try:
        yield
    finally:
        for layer, momentum in zip(layers, before):
            layer.momentum = momentum
        for count, count_before in counts:
            count.copy_(count_before)
