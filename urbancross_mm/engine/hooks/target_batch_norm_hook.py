"""Statistics of the target in BatchNorm."""

from __future__ import annotations

import torch
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import ConcatDataset, DataLoader

from urbancross_mm.engine.hooks.target_plan_hook import target_members
from urbancross_mm.registry import HOOKS
from urbancross_mm.utils.batch_norm import batch_norms, equal_batches, statistics_replaced
from urbancross_mm.utils.progress import track

IMAGES_PER_BATCH = 64


@HOOKS.register_module()
class TargetBatchNormHook(Hook):
    """Replace the running statistics of the image encoder's BatchNorm by those of the target.

    One pass over the target's images in the training set, before training and again at its end,
    so that the last checkpoint has them too. It needs no caption and trains nothing: a run with
    this hook may have a learning rate of 0. A resumed run keeps the statistics of its checkpoint
    until the end.

    Args:
        target (str, optional): The target's domain. Defaults to None: that of the model's
            adaptation.

    Raises:
        ValueError: If the image encoder has no BatchNorm, or the loader no target image.

    Reference:
        AdaBN (https://arxiv.org/abs/1603.04779).
    """

    def __init__(self, target: str | None = None) -> None:
        self.target = target

    def before_train(self, runner: Runner) -> None:
        """Adapt the starting weights."""
        if runner.iter == 0:
            self._adapt(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Adapt the final weights."""
        if runner.epoch + 1 == runner.max_epochs:
            self._adapt(runner)

    @torch.no_grad()
    def _adapt(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        layers = batch_norms(model.image_encoder)
        if not layers:
            raise ValueError('TargetBatchNormHook: the image encoder has no BatchNorm to adapt')
        target = self.target or model.adaptation.target
        images: ConcatDataset = ConcatDataset(target_members(runner, target))
        batches = equal_batches(len(images), IMAGES_PER_BATCH)
        loader = DataLoader(images, batch_sampler=batches, collate_fn=pseudo_collate)
        with statistics_replaced(layers):
            for batch in track(loader, 'statistics of the target', unit='batch'):
                model.encode_image(model.data_preprocessor(batch, True)['inputs']['image'])
        runner.logger.info(
            f'BatchNorm of {len(layers)} layers takes the statistics of '
            f'{len(images)} images of {target}'
        )
