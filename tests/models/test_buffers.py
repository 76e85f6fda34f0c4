"""Memory of a batch is taken again only when nothing holds it."""

import copy
import pickle

import torch

from urbancross_mm.models.buffers import FloatBuffers

CPU = torch.device('cpu')


def test_memory_is_taken_again_once_it_is_free() -> None:
    buffers = FloatBuffers()
    first = buffers.take((4, 3), CPU)
    address = first.data_ptr()
    del first
    assert buffers.take((4, 3), CPU).data_ptr() == address


def test_memory_in_use_is_left_alone() -> None:
    buffers = FloatBuffers()
    first = buffers.take((4, 3), CPU).fill_(1)
    view = first[1:, :1]
    del first
    buffers.take((4, 3), CPU).fill_(2)
    assert (view == 1).all()


def test_memory_that_a_backward_pass_needs_is_left_alone() -> None:
    buffers = FloatBuffers()
    weight = torch.ones(4, 3, requires_grad=True)
    total = (weight * buffers.take((4, 3), CPU).fill_(5)).sum()
    buffers.take((4, 3), CPU).fill_(7)
    total.backward()
    assert (weight.grad == 5).all()


def test_other_shapes_get_their_own_memory_and_few_are_kept() -> None:
    buffers = FloatBuffers()
    taken = [buffers.take((size, 2), CPU) for size in range(1, 10)]
    assert len({tensor.data_ptr() for tensor in taken}) == 9
    assert len(buffers._arrays) <= 4


def test_copies_of_a_model_share_no_memory() -> None:
    buffers = FloatBuffers()
    buffers.take((4, 3), CPU)
    assert copy.deepcopy(buffers)._arrays == []
    assert pickle.loads(pickle.dumps(buffers))._arrays == []
