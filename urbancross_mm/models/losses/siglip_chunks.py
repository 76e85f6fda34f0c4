"""The sigmoid loss without the matrix of all pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as torch_dist
from mmengine.dist import all_reduce, get_rank, get_world_size
from torch import Tensor
from torch.autograd.function import once_differentiable

from urbancross_mm.functional import contrastive
from urbancross_mm.structures.batch_ids import BatchIds, gather_ids, positives, select_ids
from urbancross_mm.utils.dist import all_gather

# Which of the texts that a rank sent out are positives of the images here: (rank, rows) -> mask.
PositivesOf = Callable[[int, slice], Tensor]


def siglip_in_chunks(
    image_embeds: Tensor,
    text_embeds: Tensor,
    logit_scale: Tensor,
    logit_bias: Tensor,
    positives: Tensor | None,
    chunk_size: int,
) -> Tensor:
    """As :func:`contrastive.siglip`, by some texts at a time.

    Args:
        image_embeds (Tensor): Unit embeddings of images.
        text_embeds (Tensor): Unit embeddings of texts.
        logit_scale (Tensor): Factor of the cosines.
        logit_bias (Tensor): Added after it.
        positives (Tensor, optional): bool; None is the diagonal.
        chunk_size (int): Texts at a time.

    Shape:
        image_embeds (N, D), text_embeds (M, D), positives (N, M); output ().

    Returns:
        Tensor: The loss. Its gradient is computed with it, so there is no second derivative.
    """
    contrastive.check_pairs(len(image_embeds), len(text_embeds), positives)

    def positives_of(_: int, rows: slice) -> Tensor:
        if positives is not None:
            return positives[:, rows]
        numbers = torch.arange(len(image_embeds), device=image_embeds.device)
        return numbers[:, None] == numbers[None, rows]

    sizes = [len(text_embeds)]
    return _ChunkedSigLIP.apply(
        image_embeds, text_embeds, logit_scale, logit_bias, positives_of, chunk_size, sizes
    )


def siglip_over_ranks(
    image_embeds: Tensor,
    text_embeds: Tensor,
    logit_scale: Tensor,
    logit_bias: Tensor,
    ids: BatchIds,
    equal_captions: bool,
    chunk_size: int,
) -> Tensor:
    """The loss of the pairs of all ranks, of which each rank holds its own and those of one other.

    The texts go from rank to rank with their gradient, until both are home. Every rank compares its
    images with those that pass. Of other ranks it keeps ids alone.

    Args:
        image_embeds (Tensor): Unit embeddings of the images of this rank, row i that of text i.
        text_embeds (Tensor): Unit embeddings of its texts.
        logit_scale (Tensor): Factor of the cosines.
        logit_bias (Tensor): Added after it.
        ids (BatchIds): Of these pairs.
        equal_captions (bool): See :func:`positives`.
        chunk_size (int): Texts at a time.

    Shape:
        image_embeds, text_embeds (M, D), M of any size on each rank; output ().

    Returns:
        Tensor: The same on every rank. The mean over ranks of its gradients is the gradient, as
        DistributedDataParallel takes it.

    Reference:
        `SigLIP <https://arxiv.org/abs/2303.15343>`_, section 3.3.
    """
    rows = all_gather(torch.tensor([len(text_embeds)], device=text_embeds.device))
    sizes = rows.tolist()
    everyone = gather_ids(ids)
    starts = [sum(sizes[:rank]) for rank in range(len(sizes))]
    numbers = everyone.owners

    def positives_of(rank: int, rows: slice) -> Tensor:
        own = numbers[starts[rank] : starts[rank] + sizes[rank]][rows]
        return positives(ids, equal_captions, select_ids(everyone, own))

    return _ChunkedSigLIP.apply(
        image_embeds, text_embeds, logit_scale, logit_bias, positives_of, chunk_size, sizes
    )


class _ChunkedSigLIP(torch.autograd.Function):
    """Loss and gradient in one pass, block by block: no block is there twice, or later."""

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        texts: Tensor,
        scale: Tensor,
        bias: Tensor,
        positives_of: PositivesOf,
        chunk_size: int,
        sizes: list[int],
    ) -> Tensor:
        """Sum over all blocks, divided by the pairs of all ranks."""
        rank, ranks = get_rank(), len(sizes)
        total = torch.zeros((), dtype=torch.float64, device=images.device)
        grads = [torch.zeros_like(value) for value in (images, scale, bias)]
        passing = torch.cat([texts, torch.zeros_like(texts)], dim=1)
        width = texts.shape[1]
        for step in range(ranks):
            owner = (rank - step) % ranks if ranks > 1 else 0
            for start in range(0, sizes[owner], chunk_size):
                rows = slice(start, min(start + chunk_size, sizes[owner]))
                leaves = (images, passing[rows, :width], scale, bias)
                loss, parts = _block(leaves, positives_of(owner, rows))
                total += loss
                passing[rows, width:] += parts[1]
                for grad, part in zip(grads, (parts[0], *parts[2:])):
                    grad += part
            if ranks > 1:
                passing = _pass_on(passing, sizes[(owner - 1) % ranks])
        if ranks > 1:
            all_reduce(total)
        ctx.factor = ranks / max(sum(sizes), 1)
        ctx.save_for_backward(grads[0], passing[:, width:].contiguous(), *grads[1:])
        return (total / max(sum(sizes), 1)).to(images.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        """Scale what is there. Ranks are averaged later, so each has their number of shares."""
        grads = [grad_output * ctx.factor * grad for grad in ctx.saved_tensors]
        return (*grads, None, None, None)


def _block(values: tuple[Tensor, ...], positives: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    with torch.enable_grad():
        leaves = [value.detach().requires_grad_() for value in values]
        images, texts, scale, bias = leaves
        loss = contrastive.siglip_sum(images, texts, scale, bias, positives)
        return loss.detach(), torch.autograd.grad(loss, leaves)


def _pass_on(tensor: Tensor, rows: int) -> Tensor:
    """Give a tensor to the next rank, and take that of the rank before, which has so many rows."""
    rank, ranks = get_rank(), get_world_size()
    received = tensor.new_empty(rows, *tensor.shape[1:])
    work = torch_dist.batch_isend_irecv(
        [
            torch_dist.P2POp(torch_dist.isend, tensor.contiguous(), (rank + 1) % ranks),
            torch_dist.P2POp(torch_dist.irecv, received, (rank - 1) % ranks),
        ]
    )
    for request in work:
        request.wait()
    return received
