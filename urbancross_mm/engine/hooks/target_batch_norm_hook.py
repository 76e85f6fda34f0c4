"""Statistics of the target in BatchNorm."""

from __future__ import annotations

import math
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import ConcatDataset, DataLoader

from urbancross_mm.registry import HOOKS
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
        layers = _batch_norms(model)
        if not layers:
            raise ValueError('TargetBatchNormHook: the image encoder has no BatchNorm to adapt')
        before = [(layer.training, layer.momentum) for layer in layers]
        for layer in layers:
            layer.reset_running_stats()
            layer.train()
            layer.momentum = None  # torch: the mean over all batches
        target = self.target or model.adaptation.target
        images = _images_of(runner, target)
        # All batches count the same in the mean, so they should be of one size.
        size = math.ceil(len(images) / math.ceil(len(images) / IMAGES_PER_BATCH))
        loader = DataLoader(images, size, collate_fn=pseudo_collate)
        for batch in track(loader, 'statistics of the target', unit='batch'):
            model.encode_image(model.data_preprocessor(batch, True)['inputs']['image'])
        for layer, (training, momentum) in zip(layers, before):
            layer.train(training)
            layer.momentum = momentum
        runner.logger.info(
            f'BatchNorm of {len(layers)} layers takes the statistics of '
            f'{len(images)} images of {target}'
        )


def _images_of(runner: Runner, target: str) -> ConcatDataset:
    """All images of the target; on every rank the same, so that the statistics agree."""
    members = [
        member
        for member in getattr(runner.train_dataloader.dataset, 'datasets', ())
        if member.metainfo.get('domain') == target
    ]
    if not members:
        raise ValueError(f'the training loader has no image of the target {target!r}')
    return ConcatDataset(members)


def _batch_norms(model: Any) -> list[_BatchNorm]:
    return [layer for layer in model.image_encoder.modules() if isinstance(layer, _BatchNorm)]
