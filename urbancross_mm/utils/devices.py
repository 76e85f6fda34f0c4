"""Devices by the names that users give them, and how exactly they multiply matrices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def usable_device(name: str | None) -> str:
    """Stop before a model is moved to a device that is not there.

    Args:
        name (str, optional): ``cpu``, ``cuda``, ``cuda:1``, ... None: the GPU if there is one.

    Returns:
        str: A device that can hold numbers.

    Raises:
        ValueError: If there is no device of this name.
    """
    from mmengine.device import get_device

    name = name or get_device()
    try:
        torch.zeros(1, device=name).cpu()  # one of the device "meta" has no content
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        reason = (str(error).splitlines() or [''])[0]
        raise ValueError(f'no device {name!r} to run on: {reason}') from error
    return name


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply float32 matrices without TF32 or bfloat16 inside a block, and restore the setting.

    A rank is decided by the last digits, and a softmax at scale 100 multiplies their error. This is
    a setting of the process, so a loss or a metric enters the block once. Inside ``torch.compile``
    nothing is changed: the compiled graph keeps the setting that it finds.
    """
    # First: torch.compile cannot trace the getter.
    before = 'highest' if torch.compiler.is_compiling() else torch.get_float32_matmul_precision()
    if before == 'highest':
        yield
        return
    torch.set_float32_matmul_precision('highest')
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
