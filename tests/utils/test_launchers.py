"""Slurm and MPI start ranks on CPUs as torchrun does; numbers that cannot be are refused."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import ROOT
from urbancross_mm.utils.setup_env import (
    LaunchedRank,
    init_cpu_distributed,
    launched_rank,
)

SCRIPT = """
import torch
from mmengine.dist import get_rank, get_world_size
from urbancross_mm.utils.setup_env import init_cpu_distributed
assert init_cpu_distributed({launcher!r})
total = torch.tensor([get_rank() + 1.0])
torch.distributed.all_reduce(total)
print(get_rank(), get_world_size(), total.item())
"""


def free_port() -> str:
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return str(found.getsockname()[1])


def environment(launcher: str, rank: int) -> dict[str, str]:
    """What a launcher sets for one of two ranks on this machine."""
    if launcher == 'slurm':
        return dict(
            SLURM_PROCID=str(rank),
            SLURM_NTASKS='2',
            SLURM_LOCALID=str(rank),
            SLURM_NODELIST='node[1-2]',
        )
    return dict(
        OMPI_COMM_WORLD_RANK=str(rank),
        OMPI_COMM_WORLD_SIZE='2',
        OMPI_COMM_WORLD_LOCAL_RANK=str(rank),
        MASTER_ADDR='127.0.0.1',
    )


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_two_ranks_meet(launcher: str, tmp_path: Path) -> None:
    # Slurm's own program names the machines.
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text('#!/bin/sh\necho 127.0.0.1\necho other\n')
    scontrol.chmod(scontrol.stat().st_mode | stat.S_IXUSR)
    kept = {name: value for name, value in os.environ.items() if name not in ('RANK', 'WORLD_SIZE')}
    port = free_port()
    ranks = [
        subprocess.Popen(
            [sys.executable, '-c', SCRIPT.format(launcher=launcher)],
            stdout=subprocess.PIPE,
            text=True,
            env={
                **kept,
                **environment(launcher, rank),
                'PATH': f'{tmp_path}:{os.environ["PATH"]}',
                'PYTHONPATH': str(ROOT),
                'MASTER_PORT': port,
            },
        )
        for rank in range(2)
    ]
    printed = [rank.communicate(timeout=300)[0].split() for rank in ranks]
    assert printed == [['0', '2', '3.0'], ['1', '2', '3.0']]


def test_the_rank_that_a_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launched_rank('none') == LaunchedRank(0, 1, 0)
    for rank in (0, 1):
        for name, value in environment('slurm', rank).items():
            monkeypatch.setenv(name, value)
        assert launched_rank('slurm') == LaunchedRank(rank, 2, rank)
    for name, value in (('SLURM_PROCID', '2'), ('SLURM_NTASKS', 'two')):
        monkeypatch.setenv(name, value)
        with pytest.raises(ValueError, match=f'{name}={value}.*below the number of ranks'):
            launched_rank('slurm')


def test_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    monkeypatch.setattr('torch.cuda.device_count', lambda: 1)
    for rank, fits in ((0, True), (1, False)):
        for name, value in environment('mpi', rank).items():
            monkeypatch.setenv(name, value)
        if fits:
            assert init_cpu_distributed('mpi') is False
            continue
        with pytest.raises(ValueError, match='process 1 .*no GPU .*there are 1;'):
            init_cpu_distributed('mpi')
