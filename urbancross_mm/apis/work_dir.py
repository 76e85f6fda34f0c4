"""Keeps two trainings from sharing a work directory, and failed ones from littering it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from urbancross_mm.engine import find_resumable
from urbancross_mm.utils.setup_env import reset_mmengine_state

PATTERNS = ('epoch_*.pth', 'iter_*.pth', 'best_*.pth', 'last_checkpoint')


def claim_work_dir(cfg: Config, overwrite: bool = False) -> list[Path]:
    """Make sure that a training does not mix with an earlier one in its folder.

    Otherwise new checkpoints would replace the earlier ones, and a ``best_*.pth`` of the earlier
    training would pass for one of the new training.

    Args:
        cfg (Config): With ``work_dir``, and ``resume`` and ``load_from`` as the run uses them.
        overwrite (bool): The earlier training may be deleted. Defaults to False.

    Returns:
        list[Path]: Files of the earlier training, to delete before this one starts. Empty if this
        one resumes it.

    Raises:
        FileExistsError: If there are any and ``overwrite`` is False.
        ValueError: If this training starts from one of them.
    """
    folder = Path(cfg.work_dir)
    earlier = sorted(path for pattern in PATTERNS for path in folder.glob(pattern))
    start = Path(cfg.load_from).resolve() if cfg.get('load_from') else None
    own = {
        None,
        *(path.resolve() for path in earlier),
        Path(find_resumable(folder) or '').resolve(),
    }
    if cfg.get('resume') and start in own:
        return []
    if earlier and cfg.get('resume') and not overwrite:
        raise FileExistsError(
            f'{folder} holds an earlier training, and {cfg.load_from} belongs to another one: '
            'name another --work-dir to resume it'
        )
    if earlier and not overwrite:
        names = ', '.join([*(path.name for path in earlier[:3]), *(['...'] if earlier[3:] else [])])
        raise FileExistsError(
            f'{folder} holds an earlier training ({names}): continue it with --resume, remove its '
            'checkpoints with --overwrite, or name another --work-dir'
        )
    for path in earlier:
        if path.resolve() == start:
            raise ValueError(
                f'the training starts from {path}, which --overwrite would remove: '
                'name another --work-dir'
            )
    return earlier


@contextlib.contextmanager
def discard_failed_start(cfg: Config) -> Iterator[None]:
    """Leave no folder behind if a run fails before its first result.

    mmengine makes the work directory, a log of settings and a copy of the config before it has
    looked at model and data.

    Args:
        cfg (Config): With ``work_dir``. Only what this run has written there is removed, and only
            as long as there is no checkpoint and no logged value among it.
    """
    folder = Path(cfg.work_dir)
    earlier = set(folder.glob('*'))
    try:
        yield
    except Exception:
        new = set(folder.glob('*')) - earlier
        logs = [path for path in new if re.fullmatch(r'\d{8}_\d{6}', path.name)]
        has_results = any(path.suffix == '.pth' for path in new) or any(
            list(path.rglob('*.json')) for path in logs
        )
        if not has_results and os.environ.get('RANK', '0') == '0':
            reset_mmengine_state()  # closes the files
            for path in logs:
                shutil.rmtree(path, ignore_errors=True)
            if (copy := folder / Path(cfg.filename or '').name) in new:
                copy.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not empty, or never made
                folder.rmdir()
        raise
