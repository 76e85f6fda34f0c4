"""Devices, by the names that users give them."""

from __future__ import annotations


def usable_device(name: str | None) -> str:
    """Stop before a model is moved to a device that is not there.

    Args:
        name (str, optional): ``cpu``, ``cuda``, ``cuda:1``, ... None: the GPU if there is one.

    Returns:
        str: A device that can hold numbers.

    Raises:
        ValueError: If there is none of this name.
    """
    import torch
    from mmengine.device import get_device

    name = name or get_device()
    try:
        torch.zeros(1, device=name).cpu()  # one of the device "meta" has no content
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        why = (str(error).splitlines() or [''])[0]
        raise ValueError(f'no device {name!r} to run on: {why}') from error
    return name
