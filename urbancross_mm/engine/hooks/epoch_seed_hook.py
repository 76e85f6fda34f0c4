"""Random numbers that depend on the epoch and not on what ran before it."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from urbancross_mm.registry import FUNCTIONS, HOOKS


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch.

    Args:
        seed (int): Any non-negative integer; NumPy takes its low 32 bits.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@FUNCTIONS.register_module()
def seed_worker(worker_id: int) -> None:
    """Seed a data-loading worker from torch's per-epoch base seed.

    mmengine's own worker seeding repeats the same numbers each epoch, hence the same
    augmentation. Torch draws a new base seed for each epoch's workers.

    Args:
        worker_id (int): Given by the data loader; already part of torch's seed.
    """
    seed_everything(torch.initial_seed())


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed every random generator with f(seed, epoch, rank) when an epoch begins.

    So a run resumed after epoch ``n`` draws the same augmentations, captions and dropout masks as
    one that never stopped: nothing needs saving. Use together with
    ``train_dataloader.worker_init_fn = dict(type='urbancross_mm.seed_worker')`` and without
    persistent workers. A stream, which has no sampler for mmengine to tell, is told the epoch.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed this process.

        Args:
            runner (Runner): Gives seed, epoch and rank.
        """
        # SeedSequence mixes the three, so that neighboring epochs and ranks do not correlate.
        entropy = np.random.SeedSequence([runner.seed or 0, runner.epoch, runner.rank])
        seed_everything(int(entropy.generate_state(1, np.uint64)[0] >> 1))
        dataset = runner.train_dataloader.dataset
        if hasattr(dataset, 'set_epoch'):
            dataset.set_epoch(runner.epoch)
