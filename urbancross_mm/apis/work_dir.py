"""One training to a work directory."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from urbancross_mm.engine import find_resumable

PATTERNS = ('epoch_*.pth', 'iter_*.pth', 'best_*.pth', 'last_checkpoint')


def claim_work_dir(cfg: Config, overwrite: bool = False) -> list[Path]:
    """See to it that a training does not mix with an earlier one in its folder.

    Otherwise its checkpoints would replace the earlier ones, whose ``best_*.pth`` would stay and
    be taken for its own.

    Args:
        cfg (Config): With ``work_dir``, and ``resume`` and ``load_from`` as they will be used.
        overwrite (bool): The earlier training is not needed any more. Defaults to False.

    Returns:
        list[Path]: The files of the earlier training, to be removed before this one begins; none
        if this one goes on with it.

    Raises:
        FileExistsError: If there are any and ``overwrite`` is False.
        ValueError: If this training starts from one of them.
    """
    folder = Path(cfg.work_dir)
    found = sorted(path for pattern in PATTERNS for path in folder.glob(pattern))
    given = Path(cfg.load_from).resolve() if cfg.get('load_from') else None
    own = {None, *(path.resolve() for path in found), Path(find_resumable(folder) or '').resolve()}
    if cfg.get('resume') and given in own:
        return []
    if found and cfg.get('resume') and not overwrite:
        raise FileExistsError(
            f'{folder} holds an earlier training, and {cfg.load_from} is of '
            'another one: name another --work-dir to go on from it'
        )
    if found and not overwrite:
        names = ', '.join(path.name for path in found[:3])
        raise FileExistsError(
            f'{folder} holds an earlier training ({names}{", ..." if len(found) > 3 else ""}): go '
            'on with --resume, remove its checkpoints with --overwrite, or name another --work-dir'
        )
    for path in found:
        if path.resolve() == given:
            raise ValueError(
                f'the training starts from {path}, which --overwrite would remove: '
                'name another --work-dir'
            )
    return found
