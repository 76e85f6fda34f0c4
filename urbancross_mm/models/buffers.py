"""Float buffers of batches on a CPU."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Buffers kept: images and segments, of this batch and of a shorter last one.
KEPT = 4
# Who holds a buffer that no tensor uses: the list, a loop variable, the argument of getrefcount.
IDLE_REFERENCES = 3


class FloatBuffers:
    """Uninitialized float tensors; on a CPU their memory is taken again once nobody uses it.

    K float images per sample are large, and touching fresh memory costs more than filling it. A
    tensor made from a numpy array holds a reference to the array for as long as any view of it
    lives, in the graph of autograd too, so an array without other references is free.
    """

    def __init__(self) -> None:
        self._arrays: list[np.ndarray] = []

    def take(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """A float tensor of this shape with any content."""
        shape = tuple(shape)
        if device.type != 'cpu':
            return torch.empty(shape, device=device)
        for array in self._arrays:
            if array.shape == shape and sys.getrefcount(array) == IDLE_REFERENCES:
                return torch.from_numpy(array)
        # numpy asks the system for huge pages, torch does not.
        self._arrays = [*self._arrays[1 - KEPT :], np.empty(shape, dtype=np.float32)]
        return torch.from_numpy(self._arrays[-1])

    def __deepcopy__(self, memo: dict[int, Any]) -> FloatBuffers:
        """A copy of a model starts without buffers."""
        return FloatBuffers()

    def __getstate__(self) -> dict[str, Any]:
        """Buffers are not pickled."""
        return {'_arrays': []}
