"""Parts of encoders whose code depends on the number or the content of rows, without that."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from urbancross_mm.models.encoders.text import GRUTextEncoder

_WEIGHTS = ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh')


@contextlib.contextmanager
def capturable(tower: nn.Module) -> Iterator[None]:
    """Replace what cannot be captured, meanwhile, by something equal.

    Packed rows depend on their lengths, and the windows of a Swin count their images by a division
    of floats, which fixes the number.

    Args:
        tower (nn.Module): Whose modules are changed.

    Yields:
        None: While they are.
    """
    changed: list[tuple[Any, str, Any]] = []
    for module in tower.modules():
        if isinstance(module, GRUTextEncoder):
            changed.append((module, 'pooled', functools.partial(pooled_unpacked, module)))
        elif hasattr(module, 'window_reverse'):
            changed.append((module, 'window_reverse', functools.partial(_join_windows, module)))
    for module, name, function in changed:
        module.__dict__[name] = function
    try:
        yield
    finally:
        for module, name, _ in changed:
            del module.__dict__[name]


def _join_windows(
    module: Any, windows: Tensor, height: int, width: int, size: int | None = None
) -> Tensor:
    """Windows (N * windows, size, size, C) of maps as maps (N, height, width, C)."""
    size = size or module.window_size
    grid = windows.unflatten(0, (-1, height // size, width // size))
    return grid.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def pooled_unpacked(encoder: GRUTextEncoder, tokens: Tensor) -> Tensor:
    """What ``GRUTextEncoder.pooled`` gives in ``eval``, without packing rows.

    A packed row ends where its words end. Here the state is kept from there on, step by step.

    Args:
        encoder (GRUTextEncoder): Its weights are used.
        tokens (Tensor): Word ids.

    Shape:
        (N, L) -> (N, C).

    Returns:
        Tensor: One vector per text.
    """
    lengths = encoder.lengths(tokens)
    mask = (torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None])[..., None]
    rows, last = encoder.words(tokens), []
    for layer in range(encoder.gru.num_layers):
        directions = ('', '_reverse')[: 1 + encoder.gru.bidirectional]
        runs = [_run(encoder.gru, f'_l{layer}{direction}', rows, mask) for direction in directions]
        rows = torch.cat([states for states, _ in runs], dim=-1)
        last = [state for _, state in runs]
    if encoder.pool == 'last':
        return torch.cat(last, dim=-1)
    if encoder.pool == 'max':
        return rows.masked_fill(~mask, float('-inf')).amax(dim=1)
    return (rows * mask).sum(dim=1) / lengths[:, None]


def _run(gru: nn.GRU, suffix: str, rows: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """States (N, L, H) of one layer in one direction, and the last one (N, H)."""
    to_input, to_state, bias_input, bias_state = (getattr(gru, n + suffix) for n in _WEIGHTS)
    gates = nn.functional.linear(rows, to_input, bias_input)
    state = torch.zeros_like(gates[:, 0, : gru.hidden_size])
    steps = list(range(rows.shape[1]))
    states: dict[int, Any] = {}
    for step in reversed(steps) if suffix.endswith('_reverse') else steps:
        reset, update, new = gates[:, step].chunk(3, dim=-1)
        own = nn.functional.linear(state, to_state, bias_state).chunk(3, dim=-1)
        update = torch.sigmoid(update + own[1])
        new = torch.tanh(new + torch.sigmoid(reset + own[0]) * own[2])
        state = torch.where(mask[:, step], new + update * (state - new), state)
        states[step] = state
    return torch.stack([states[step] for step in steps], dim=1), state
