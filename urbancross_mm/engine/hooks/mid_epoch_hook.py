"""Going on in the middle of an epoch."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from urbancross_mm.registry import HOOKS

KEY = 'random_states'


@HOOKS.register_module()
class MidEpochHook(Hook):
    """Resume from an ``iter_*.pth`` at the iteration where it was saved.

    mmengine begins its epoch again, so that some batches are seen twice. This hook saves the
    random states of every rank beside the weights, and lets a resumed epoch pass over the batches
    that were seen: they are loaded, so that sampler and workers stand where they stood. With
    ``EpochSeedHook``, ``seed_worker`` and workers that are not persistent, as in the configs of
    this project, the run then equals one that never stopped.
    :func:`urbancross_mm.apis.build_runner` adds it to every run. A checkpoint without the states,
    or of another number of batches or ranks, begins its epoch again with a warning.
    """

    # Before CheckpointHook, which saves.
    priority = 'LOW'

    def __init__(self) -> None:
        self._saved: dict[str, Any] = {}
        self._loaded: dict[str, Any] = {}

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Collect the states of all ranks if a checkpoint is about to be saved."""
        if any(
            isinstance(hook, CheckpointHook)
            and not hook.by_epoch
            and self.every_n_train_iters(runner, hook.interval)
            for hook in runner.hooks
        ):
            self._saved = dict(
                iter=runner.iter + 1,
                batches=len(runner.train_dataloader),
                states=all_gather_object(_random_state()),
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Save them."""
        if self._saved.get('iter') == checkpoint['meta']['iter']:
            checkpoint[KEY] = self._saved

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep them until the training begins."""
        self._loaded = checkpoint.get(KEY, {}) if runner._resume else {}

    def before_train(self, runner: Runner) -> None:
        """Find out where in its epoch a resumed run stands."""
        loop = runner.train_loop
        if not isinstance(loop, EpochBasedTrainLoop) or runner.iter >= runner.max_iters:
            return
        batches = len(loop.dataloader)
        seen = runner.iter - runner.epoch * batches
        if not seen:
            return
        states = self._loaded.get('states', [])
        if (
            self._loaded.get('batches') != batches
            or len(states) != get_world_size()
            or type(loop) is not EpochBasedTrainLoop
        ):
            runner.logger.warning(
                f'{runner._load_from} has {runner.iter} iterations, which are not {runner.epoch} '
                f'whole epochs of {batches} here: epoch {runner.epoch + 1} begins again'
            )
            return
        # mmengine has built the loop, whatever the config; only this run of it is another.
        loop.__class__ = _GoingOn
        loop.seen, loop.state = seen, states[get_rank()]
        runner.logger.info(f'epoch {runner.epoch + 1} goes on after {seen} of {batches} iterations')
        steps = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        if runner.iter % steps:
            runner.logger.warning(
                f'the gradient of {runner.iter % steps} of {steps} accumulated '
                'iterations is not in the checkpoint, and lost'
            )


class _GoingOn(EpochBasedTrainLoop):
    """A loop whose first epoch passes over batches."""

    seen = 0
    state: dict[str, Any]

    def run_epoch(self) -> None:
        """Iterate over the batches that were not seen."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        for idx, data_batch in enumerate(self.dataloader):
            if idx >= self.seen:
                self.run_iter(idx, data_batch)
            elif idx == self.seen - 1:
                _set_random_state(self.state)
        self.seen = 0
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


def _random_state() -> dict[str, Any]:
    device = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return dict(
        python=random.getstate(),
        numpy=np.random.get_state(),
        torch=torch.get_rng_state(),
        device=device,
    )


def _set_random_state(state: dict[str, Any]) -> None:
    random.setstate(state['python'])
    np.random.set_state(state['numpy'])
    torch.set_rng_state(state['torch'])
    if state['device'] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['device'])
