"""Large batches in the memory of small ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from urbancross_mm.utils.batch_norm import statistics_kept


def encode_in_chunks(
    encode: Callable[[Tensor], Tensor], inputs: Tensor, size: int | None, module: nn.Module
) -> Tensor:
    """Embed a batch with the activations of one chunk of it in memory.

    The first pass keeps embeddings alone. Backward repeats the pass of one chunk after another,
    with the random numbers that it had, and takes its gradient. The loss sees the whole batch, so
    loss and gradient are those of the whole batch. The exception is BatchNorm in training: it sees
    the rows of a chunk.

    Args:
        encode (Callable): Embeds rows, each by itself.
        inputs (Tensor): The rows.
        size (int, optional): Most rows of a chunk; None encodes all at once.
        module (nn.Module): Whose running statistics of BatchNorm the second pass leaves alone.

    Shape:
        inputs (N, ...) -> (N, D).

    Returns:
        Tensor: One row per input.

    Reference:
        GradCache (https://arxiv.org/abs/2101.06983).
    """
    if size is None or len(inputs) <= size:
        return encode(inputs)
    parts = inputs.tensor_split(-(-len(inputs) // size))  # of equal sizes, or nearly
    if not torch.is_grad_enabled():
        return torch.cat([encode(part) for part in parts])

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), statistics_kept(module)

    # Non-reentrant: the graph of the first pass stays, without its tensors, so that
    # DistributedDataParallel sees one backward pass, with one gradient for each weight.
    return torch.cat(
        [checkpoint(encode, part, use_reentrant=False, context_fn=contexts) for part in parts]
    )
