"""What a process needs before a Runner, and what to clear after one."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import warnings
from typing import Any, NamedTuple

MAINLINE = ('mmengine', 'mmcv', 'mmpretrain', 'mmsegmentation')
# How each is started, and what that sets: rank, number of ranks, rank on its machine, and more.
_LAUNCHERS = {
    'pytorch': ('tools/dist_train.sh or torchrun', ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')),
    'slurm': (
        'tools/slurm_train.sh or srun',
        ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID', 'SLURM_NODELIST'),
    ),
    'mpi': (
        'mpirun',
        (
            'OMPI_COMM_WORLD_RANK',
            'OMPI_COMM_WORLD_SIZE',
            'OMPI_COMM_WORLD_LOCAL_RANK',
            'MASTER_ADDR',
        ),
    ),
}


class LaunchedRank(NamedTuple):
    """Which of the processes that a launcher has started this one is.

    Attributes:
        rank: From 0, over all machines.
        world_size: Number of processes.
        local_rank: From 0, on this machine.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0


def launched_rank(launcher: str) -> LaunchedRank:
    """Ask the launcher, by what it has set, which process this is.

    Args:
        launcher (str): ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Returns:
        LaunchedRank: The only one for ``none``.

    Raises:
        ValueError: If the launcher did not set its variables, because nothing was started with it,
            or set numbers that cannot be.
    """
    start, names = _LAUNCHERS.get(launcher, ('', ()))
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ValueError(
            f'--launcher {launcher} needs {" and ".join(missing)} in the environment: '
            f'start with {start}'
        )
    values = [os.environ[name] for name in names[:3]] or ['0', '1', '0']
    if not all(value.isdecimal() for value in values) or int(values[0]) >= int(values[1]):
        raise ValueError(
            f'the launcher set {names[0]}={values[0]}, {names[1]}={values[1]} and '
            f'{names[2]}={values[2]}: a rank is a number from 0 below the number of ranks'
        )
    return LaunchedRank(*map(int, values))


def warn_about_mainline() -> None:
    """Warn if a mainline OpenMMLab package is installed beside, or instead of, its fork.

    The mainline packages fail on current torch and numpy (resume raises ``UnpicklingError``,
    ``import mmseg.models`` needs compiled ops). Both write to the same folders, so a mixed install
    holds some files of each.
    """
    installed = []
    for name in MAINLINE:
        try:
            installed.append(f'{name} {importlib.metadata.version(name)}')
        except importlib.metadata.PackageNotFoundError:
            continue
    if installed:
        warnings.warn(
            f'mainline OpenMMLab packages are installed: {", ".join(installed)}. They share their '
            'files with the maintained forks that this project needs (onedl-mmengine, onedl-mmcv, '
            'onedl-mmpretrain, onedl-mmsegmentation). If something fails oddly: pip uninstall '
            f'{" ".join(MAINLINE)}, then pip install --force-reinstall --no-deps the four forks',
            stacklevel=2,
        )


def init_cpu_distributed(launcher: str) -> bool:
    """Start a gloo process group when a launcher is asked for on a machine without a GPU.

    mmengine's own launchers select a CUDA device first, which fails there. With the group already
    up, the Runner uses it.

    Args:
        launcher (str): ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Returns:
        bool: Whether a group was started, in which case the model wrapper must not name a device:
        ``model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None,
        broadcast_buffers=False)``.

    Raises:
        ValueError: If the launcher did not set its variables, because nothing was started with it,
            or there are more processes than GPUs.
    """
    import torch

    process = launched_rank(launcher)
    if launcher not in _LAUNCHERS:
        return False
    if torch.cuda.is_available():
        if process.local_rank >= torch.cuda.device_count():
            raise ValueError(
                f'process {process.local_rank} of this machine, counted from 0, has no GPU of its '
                f'own: there are {torch.cuda.device_count()}; start as many processes'
            )
        return False
    if launcher == 'slurm' and 'MASTER_ADDR' not in os.environ:
        nodes = subprocess.run(
            ['scontrol', 'show', 'hostnames', os.environ['SLURM_NODELIST']],
            capture_output=True,
            text=True,
            check=True,
        )
        os.environ['MASTER_ADDR'] = nodes.stdout.split()[0]
    os.environ.setdefault('MASTER_PORT', '29500')
    for name, value in zip(_LAUNCHERS['pytorch'][1], process):
        os.environ[name] = str(value)
    torch.distributed.init_process_group('gloo')
    return True


def reset_mmengine_state() -> None:
    """Close and drop the loggers, message hubs and visualizers of earlier runs.

    mmengine keeps them by name, so a second Runner of a process would get those of the first: its
    log file, its best score, its writers. After this call it starts as in a new process.
    """
    from mmengine.logging import MessageHub, MMLogger
    from mmengine.registry import DefaultScope
    from mmengine.visualization import Visualizer

    for visualizer in Visualizer._instance_dict.values():
        visualizer.close()
    for logger in MMLogger._instance_dict.values():
        for handler in logger.handlers:
            handler.close()
    for manager in (MMLogger, MessageHub, Visualizer, DefaultScope):
        for kind in _with_subclasses(manager):
            kind._instance_dict.clear()


def _with_subclasses(kind: Any) -> list[Any]:
    """A class and all below it: each keeps a dict of its own."""
    return [kind, *(below for child in kind.__subclasses__() for below in _with_subclasses(child))]
