"""One job of a matrix, run in this process: train if need be, test, record."""

from __future__ import annotations

import contextlib
import gc
import os
import time
import traceback
from copy import deepcopy
from pathlib import Path

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from urbancross_mm.apis.runs import build_runner, resolve_source_checkpoint, set_resume
from urbancross_mm.engine import find_resumable
from urbancross_mm.experiments.records import CONSOLE, JobFolder, slug
from urbancross_mm.experiments.spec import Job
from urbancross_mm.experiments.testing_data import add_label_free_scores
from urbancross_mm.inference.checkpoints import for_checkpoint, resolve_checkpoint
from urbancross_mm.utils.setup_env import reset_mmengine_state


def run_job(job: Job, out: str, select: str) -> str | None:
    """Do what is left of a job; whatever it prints goes to its ``console.log``.

    Args:
        job (Job): The job.
        out (str): Folder of the matrix.
        select (str): Which adapted checkpoint is tested.

    Returns:
        str | None: Why it failed, in one sentence. It is no exception because not every exception
        survives the way back from another process.
    """
    folder = JobFolder(out, job, select)
    folder.begin()
    with (
        open(folder.path / CONSOLE, 'a', encoding='utf-8', buffering=1) as console,
        contextlib.redirect_stdout(console),
        contextlib.redirect_stderr(console),
    ):
        reset_mmengine_state()
        try:
            if job.trains:
                _train(folder, out)
            _test(folder, out)
            return None
        except Exception as error:  # one bad job must not end the other ninety-nine
            traceback.print_exc()
            reason = _one_line(error)
        finally:
            # Its loggers write to the console file, which closes now.
            reset_mmengine_state()
            gc.collect()
    folder.fail(reason)
    return reason


def _train(folder: JobFolder, out: str) -> None:
    """Train, or go on with a training that was interrupted."""
    if 'train_seconds' in folder.record():
        return
    began = time.monotonic()
    cfg = _config(folder.job)
    cfg.work_dir = str(folder.path)
    set_resume(cfg, 'auto')
    if folder.job.start is not None:
        cfg.merge_from_dict({'model.adaptation.source_checkpoint': start_of(folder.job, out)})
        resolve_source_checkpoint(cfg)
    if cfg.resume:
        folder.update(resumed=True)
    build_runner(cfg).train()
    folder.update(train_seconds=round(time.monotonic() - began, 2))


def _test(folder: JobFolder, out: str) -> None:
    """Test on the test split of the target."""
    began = time.monotonic()
    job = folder.job
    reset_mmengine_state()
    checkpoint = select_checkpoint(folder.path, folder.select) if job.trains else start_of(job, out)
    cfg = _config(job)
    cfg.work_dir = str(folder.path / 'test')
    cfg.load_from, cfg.resume = checkpoint, False
    cfg.model = for_checkpoint(cfg.model.to_dict())
    add_label_free_scores(cfg)
    metrics = build_runner(cfg).test()
    if 'retrieval/mR' not in metrics:
        raise ValueError(
            f'the test of {job.config_path} gives no retrieval/mR, but '
            f'{", ".join(metrics) or "nothing"}'
        )
    folder.finish(metrics, checkpoint, time.monotonic() - began)


def start_of(job: Job, out: str) -> str:
    """Find the source model of a job.

    Args:
        job (Job): It has a start.
        out (str): Folder of the matrix.

    Returns:
        str: A file: the best by validation on the source domain, else the latest.

    Raises:
        FileNotFoundError: If there is none.
    """
    start = str(job.start)
    return resolve_checkpoint(os.path.join(out, start) if job.needs else start)


def select_checkpoint(folder: Path, select: str) -> str:
    """Choose the checkpoint of a finished training that is tested.

    Args:
        folder (Path): Its work directory.
        select (str): ``'source'``: the best by validation on its own domain; ``'last'``;
            ``'best'``: the best mR by target pairs; else a metric key or its beginning.

    Returns:
        str: A file.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If several metrics begin with the key.
    """
    if select == 'source':
        return resolve_checkpoint(str(folder))
    if select == 'last':
        last = find_resumable(folder)
        if last is None:
            raise FileNotFoundError(f'no checkpoint (epoch_*.pth, iter_*.pth) in {folder}')
        return last
    key = slug('retrieval/mR' if select == 'best' else select)
    files = sorted(folder.glob(f'best_{key}*.pth'), key=os.path.getmtime)
    metrics = sorted({file.stem.rpartition('_')[0].rpartition('_')[0] for file in files})
    if not files:
        raise FileNotFoundError(
            f"no checkpoint best_{key}*.pth in {folder}: does the config's "
            'checkpoint hook save the best by that metric?'
        )
    if len(metrics) > 1:
        raise ValueError(
            f'--select {select} fits several checkpoints in {folder}: {", ".join(metrics)}'
        )
    return str(files[-1])


def _config(job: Job) -> Config:
    """The config, as if it had just been read from its file."""
    cfg = Config(deepcopy(dict(job.config)), filename=job.config_path)
    if cfg.get('custom_imports'):
        import_modules_from_strings(**cfg.custom_imports)
    return cfg


def _one_line(error: Exception) -> str:
    """An exception as one line, with its type unless it is a user's mistake."""
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    text = ' '.join(str(message).split())
    plain = isinstance(error, ValueError | FileNotFoundError) and text
    return text if plain else f'{type(error).__name__}: {text}'
