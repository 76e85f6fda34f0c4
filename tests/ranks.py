"""Processes of functions: forked from one that has imported what they need, and has run nothing."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from tests.runs import ROOT


def processes() -> Any:
    """Where processes come from that have their imports behind them."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['tests.forked'])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONPATH', str(ROOT), prepend=os.pathsep)
        forkserver.ensure_running()
    return context


def run_on_ranks(
    function: Callable[..., Any], folder: Path, *arguments: Any, world_size: int = 2
) -> list[Any]:
    """Call ``function(rank, *arguments)`` on every rank.

    Args:
        function (Callable): Importable by name; what it returns must survive ``torch.save``.
        folder (Path): An empty folder to meet in.
        arguments: Passed on.
        world_size (int): Number of processes. Defaults to 2.

    Returns:
        list: What each rank returned.
    """
    processes()
    work = (world_size, function, str(folder), arguments)
    mp.start_processes(_work, work, nprocs=world_size, start_method='forkserver')
    return [torch.load(folder / f'{rank}.pth', weights_only=False) for rank in range(world_size)]


def _work(
    rank: int, world_size: int, function: Callable[..., Any], folder: str, arguments: tuple
) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=world_size
    )
    try:
        torch.save(function(rank, *arguments), f'{folder}/{rank}.pth')
    finally:
        dist.destroy_process_group()
