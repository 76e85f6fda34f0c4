"""Collectives for losses: gathering that keeps the gradient, gathering of ids, mean gradients, and
the values of the first rank."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as torch_dist
from mmengine.dist import all_reduce_params, broadcast, get_rank, get_world_size
from torch import Tensor


def all_gather(tensor: Tensor, with_grad: bool = False) -> Tensor:
    """Concatenate a tensor of every rank.

    With the gradient, every rank can compute the loss of the whole batch: the gradients of all
    ranks are summed on the way back, so that the mean that DistributedDataParallel takes over
    ranks equals the gradient of a single process on the whole batch. Without it, each rank would
    keep only its own part: the loss is right and its gradient is not.

    Args:
        tensor (Tensor): Equal shape and type on every rank.
        with_grad (bool): Send the gradient back to the rank it came from; ids, masks and
            diagnostics need none. Defaults to False.

    Shape:
        - tensor: ``(B, ...)``; output: ``(world_size * B, ...)``, rank 0 first.

    Returns:
        Tensor: The rows of every rank; the input itself at world size 1.

    Raises:
        ValueError: If the shapes differ between ranks.
    """
    if get_world_size() == 1:
        return tensor
    _check_equal_shapes(tensor)
    return _GatherWithGrad.apply(tensor) if with_grad else _gather(tensor.detach())


def all_gather_rows(tensor: Tensor, with_grad: bool = False) -> Tensor:
    """Concatenate a tensor of every rank whose number of rows may differ between ranks.

    Args:
        tensor (Tensor): Equal type and equal shape but for the rows on every rank.
        with_grad (bool): As in :func:`all_gather`. Defaults to False.

    Shape:
        - tensor: ``(B, ...)``; output: ``(sum of B, ...)``, rank 0 first.

    Returns:
        Tensor: The rows of every rank; the input itself at world size 1.
    """
    if get_world_size() == 1:
        return tensor
    sizes = _gather(torch.tensor([len(tensor)], device=tensor.device))
    longest = int(sizes.max())
    padding = tensor.new_zeros((longest - len(tensor), *tensor.shape[1:]))
    rows = all_gather(torch.cat([tensor, padding]), with_grad)
    kept = torch.arange(longest, device=tensor.device) < sizes[:, None]
    return rows[kept.flatten()]


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace the gradients by their mean over the ranks.

    Args:
        parameters (Iterable[Tensor]): The same ones on every rank have a gradient.
    """
    all_reduce_params([item.grad for item in parameters if item.grad is not None], op='mean')


def copy_from_first(tensors: Iterable[Tensor]) -> None:
    """Replace the values by those of rank 0, with one message for each type.

    Args:
        tensors (Iterable[Tensor]): Of equal shape and type on every rank.
    """
    if get_world_size() == 1:
        return
    by_type = defaultdict(list)
    for tensor in tensors:
        by_type[tensor.dtype].append(tensor.detach())
    for same in by_type.values():
        values = torch.cat([tensor.flatten() for tensor in same])
        broadcast(values)
        for tensor, part in zip(same, values.split([tensor.numel() for tensor in same])):
            tensor.copy_(part.view_as(tensor))


class _GatherWithGrad(torch.autograd.Function):
    """Gather forward, reduce-scatter backward (written as all-reduce, which gloo has too)."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        """Concatenate the tensor of every rank."""
        return _gather(tensor)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Tensor:
        """Sum the gradients of all ranks and keep the rows of this one."""
        # all_reduce writes in place, and autograd may still need the gradient it handed us.
        total = grad_output.clone(memory_format=torch.contiguous_format)
        torch_dist.all_reduce(total)
        return total.chunk(get_world_size())[get_rank()]


def _gather(tensor: Tensor) -> Tensor:
    tensor = tensor.contiguous()
    parts = [torch.empty_like(tensor) for _ in range(get_world_size())]
    torch_dist.all_gather(parts, tensor)
    return torch.cat(parts)


def _check_equal_shapes(tensor: Tensor) -> None:
    # Unequal shapes hang or corrupt memory in the collective itself, so three numbers that tell
    # them apart are gathered first.
    if tensor.dim() == 0:
        raise ValueError('cannot gather a tensor without rows: it has 0 dimensions')
    rest = tensor[0].numel() if tensor.shape[0] else 0
    local = torch.tensor([tensor.dim(), tensor.shape[0], rest], device=tensor.device)
    shapes = _gather(local.unsqueeze(0)).tolist()
    if any(shape != shapes[0] for shape in shapes):
        rows = [shape[1] for shape in shapes]
        raise ValueError(
            f'ranks hold tensors of different shapes: {rows} rows from rank 0 on, here '
            f'{tuple(tensor.shape)}; use drop_last=True or a sampler that pads'
        )
