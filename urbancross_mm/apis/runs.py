"""From a config and a tool's arguments to an mmengine Runner."""

from __future__ import annotations

import argparse
import ast
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from urbancross_mm.apis.run_settings import check_settings, fit_streams
from urbancross_mm.apis.sharded_runner import ShardedRunner
from urbancross_mm.apis.short_log_runner import ShortLogRunner
from urbancross_mm.engine import MidEpochHook, TrainingGuardHook, find_resumable, remove_leftovers
from urbancross_mm.engine.hooks.training_guard_hook import check_batches
from urbancross_mm.inference.checkpoints import resolve_checkpoint
from urbancross_mm.inference.config import LOADERS, load_config, model_of
from urbancross_mm.structures.annotations import missing_data_message
from urbancross_mm.toy import ensure_sample
from urbancross_mm.utils.checkpoints import check_checkpoint, read_checkpoint
from urbancross_mm.utils.config import nested_dicts
from urbancross_mm.utils.setup_env import init_cpu_distributed, warn_about_mainline


def config_of(args: argparse.Namespace) -> Config:
    """Load the config that a tool's arguments name, and choose its work directory.

    Runs with ``--sample`` get a folder of their own, so that they never mix with a real run.

    Args:
        args (argparse.Namespace): From :func:`urbancross_mm.utils.cli.add_run_arguments`.

    Returns:
        Config: With ``work_dir`` and ``launcher`` set.
    """
    warn_about_mainline()
    os.environ.setdefault('LOCAL_RANK', str(getattr(args, 'local_rank', 0)))
    cfg = load_config(args.config, args.cfg_options, args.sample)
    if args.sample:
        if 'OMP_NUM_THREADS' not in os.environ:
            torch.set_num_threads(1)  # small models run fastest on one; more wait for each other
        ensure_sample()
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = f'work_dirs/{Path(cfg.filename).stem}{"_sample" if args.sample else ""}'
    cfg.launcher = args.launcher
    return cfg


def build_runner(cfg: Config) -> Runner:
    """Build the Runner that a config asks for.

    Args:
        cfg (Config): From :func:`config_of`.

    Returns:
        Runner: mmengine's with a short console, a :class:`ShardedRunner` for a ``strategy``, or
        the one named by ``runner_type``.
    """
    fit_streams(cfg)
    check_settings(cfg)
    check_data(cfg)
    if cfg.get('load_from') and '://' not in cfg.load_from:
        check_checkpoint(cfg.load_from)
    if init_cpu_distributed(cfg.get('launcher', 'none')):
        cfg.setdefault(
            'model_wrapper_cfg',
            dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False),
        )
    # A single process has nothing to share out.
    shared = cfg.get('strategy') and cfg.get('launcher', 'none') != 'none'
    kind = ShardedRunner if shared else ShortLogRunner
    runner: Any = kind.from_cfg(cfg) if 'runner_type' not in cfg else RUNNERS.build(cfg)
    for hook in (TrainingGuardHook(), MidEpochHook()):
        runner.register_hook(hook)
    if not isinstance(runner, Runner):
        return runner
    build_schedulers = runner.build_param_scheduler

    def build_checked(schedulers: Any) -> Any:
        # mmengine counts the steps of an epoch for these, before any hook runs.
        check_batches(runner.train_dataloader, 'train_dataloader')
        return build_schedulers(schedulers)

    runner.build_param_scheduler = build_checked
    return runner


def check_data(cfg: Config) -> None:
    """Check the files of the datasets before a model is built or weights are downloaded.

    Args:
        cfg (Config): A config.

    Raises:
        FileNotFoundError: If one is missing. The message says where it was expected and how to
            get it.
        ValueError: If there is no model, or a path has another type.
    """
    model_of(cfg)
    for loader in LOADERS:
        for dataset in nested_dicts(cfg.get(loader)):
            if 'ann_file' in dataset:
                path = _path_of(dataset, 'ann_file', loader)
                if not os.path.isfile(path):
                    raise FileNotFoundError(missing_data_message('annotation file', path))
        for dataset in nested_dicts(cfg.get(loader), 'UnlabeledDataset'):
            if 'source' in dataset:
                path = _path_of(dataset, 'source', loader)
                if not os.path.exists(path):
                    raise FileNotFoundError(
                        f'source of {dataset.get("modality")} in {loader} not found: '
                        f'{os.path.abspath(path)}'
                    )


def _path_of(dataset: Mapping[str, Any], key: str, loader: str) -> str:
    """Where a dataset's file is."""
    for name in ('data_root', key):
        if not isinstance(dataset.get(name, ''), str | Path):
            raise ValueError(
                f'{name} of {dataset.get("type")} in {loader} must be a path, got {dataset[name]!r}'
            )
    return os.path.join(dataset.get('data_root', ''), dataset[key])


def set_resume(cfg: Config, resume: str | None) -> None:
    """Point a config to the checkpoint to resume from.

    Args:
        cfg (Config): Changed in place; ``work_dir`` is set.
        resume (str | None): A checkpoint, a work directory, or ``'auto'``: the last complete
            checkpoint of ``cfg.work_dir``, if there is one. None does nothing.

    Raises:
        FileNotFoundError: If the named checkpoint or folder does not exist.
    """
    if resume is None:
        return
    cfg.resume = True
    if os.environ.get('RANK', '0') == '0':
        remove_leftovers(cfg.work_dir)
    if resume == 'auto':
        latest = find_resumable(cfg.work_dir)
        cfg.resume = latest is not None
        # Without one, the weights that the config starts from still count.
        cfg.load_from = latest or cfg.get('load_from')
        if latest is None:
            print(f'no checkpoint to resume in {cfg.work_dir}: training starts from scratch')
    else:
        # Of a folder the latest checkpoint: the best one has no optimizer state.
        cfg.load_from = find_resumable(resume) or resolve_checkpoint(resume)


def resolve_source_checkpoint(cfg: Config) -> None:
    """Find the checkpoint that an adaptation starts from.

    Args:
        cfg (Config): Changed in place: ``model.adaptation.source_checkpoint``, a checkpoint file
            or a work directory, becomes a file and also ``load_from``. A resumed run keeps the
            one that its checkpoint recorded, while that exists. Nothing happens without that key.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
    """
    adaptation = cfg.model.get('adaptation') or {}
    source = adaptation.get('source_checkpoint')
    if not source:
        return
    if cfg.get('resume'):
        cfg.load_from = cfg.get('load_from') or find_resumable(cfg.work_dir)
        cfg.resume = cfg.load_from is not None
    if cfg.get('resume'):
        # The work directory of the source may have another best checkpoint by now.
        recorded = recorded_source(read_checkpoint(cfg.load_from))
        adaptation['source_checkpoint'] = (
            recorded if os.path.isfile(recorded) else _find_source(source)
        )
    else:
        adaptation['source_checkpoint'] = cfg.load_from = _find_source(source)


def recorded_source(checkpoint: Mapping[str, Any]) -> str:
    """Where an adaptation started, by the config in its checkpoint, which is read and never run.

    Args:
        checkpoint (Mapping[str, Any]): Content of the checkpoint.

    Returns:
        str: Its ``model.adaptation.source_checkpoint``, or ''.
    """
    meta = checkpoint.get('meta')
    try:
        body = ast.parse(str(meta.get('cfg', '')) if isinstance(meta, dict) else '').body
    except (SyntaxError, ValueError):  # of another program
        return ''
    for node in body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == 'model':
            # Version 0.1.0 wrote it as model.start.
            source = _argument(_argument(node.value, 'adaptation'), 'source_checkpoint')
            source = source or _argument(node.value, 'start')
            return str(source.value or '') if isinstance(source, ast.Constant) else ''
    return ''


def _argument(call: ast.expr | None, name: str) -> ast.expr | None:
    """A keyword argument of a call such as ``dict(...)``."""
    keywords = call.keywords if isinstance(call, ast.Call) else []
    return next((keyword.value for keyword in keywords if keyword.arg == name), None)


def _find_source(path: str) -> str:
    try:
        return resolve_checkpoint(path)
    except FileNotFoundError as error:
        sample = (
            f'; {path}_sample is there, of a run with --sample'
            if os.path.isdir(f'{path}_sample')
            else ''
        )
        raise FileNotFoundError(
            f'nothing to start the adaptation from: {error}{sample}; train the source model first, '
            'or name its checkpoint with --cfg-options model.adaptation.source_checkpoint=PATH'
        ) from None


def use_bfloat16(cfg: Config, loop: str) -> None:
    """Evaluate under bfloat16 autocast, as the model was trained.

    mmengine's flag is called ``fp16``. On a GPU it uses the default type of torch's autocast.

    Args:
        cfg (Config): Changed in place.
        loop (str): ``val_cfg`` or ``test_cfg``; ignored if the config has none.
    """
    if cfg.get(loop) is not None:
        torch.set_autocast_dtype('cuda', torch.bfloat16)
        cfg[loop].fp16 = True
