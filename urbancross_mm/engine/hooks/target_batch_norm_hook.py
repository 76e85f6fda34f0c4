"""Statistics of the target in BatchNorm."""

from __future__ import annotations

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from urbancross_mm.registry import HOOKS
from urbancross_mm.utils.progress import track


@HOOKS.register_module()
class TargetBatchNormHook(Hook):
    """Replace the running statistics of the image encoder's BatchNorm by those of the target.

    One pass over the pictures of the training loader that are of the target, before training and
    again at its end, so that the last checkpoint has them too. Needs no sentence and trains
    nothing. A resumed run keeps the statistics of its checkpoint until the end.

    Args:
        target (str): The target's domain.

    Raises:
        ValueError: If the image encoder has no BatchNorm, or the loader no target picture.

    Reference:
        AdaBN (https://arxiv.org/abs/1603.04779).
    """

    def __init__(self, target: str) -> None:
        self.target = target

    def before_train(self, runner: Runner) -> None:
        """Adapt the starting weights."""
        if runner.epoch == 0:
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
        seen = 0
        for batch in track(runner.train_dataloader, 'statistics of the target', unit='batch'):
            data = model.data_preprocessor(batch, True)
            rows = [i for i, sample in enumerate(data['data_samples'])
                    if sample.domain == self.target]
            if rows:
                model.encode_image(data['inputs']['image'][rows])
            seen += len(rows)
        for layer, (training, momentum) in zip(layers, before):
            layer.train(training)
            layer.momentum = momentum
        if not seen:
            raise ValueError(f'the training loader has no picture of the target {self.target!r}')
        runner.logger.info(f'BatchNorm of {len(layers)} layers takes the statistics of {seen} '
                           f'pictures of {self.target}')


def _batch_norms(model: nn.Module) -> list[_BatchNorm]:
    inner = getattr(model, 'retriever', model)
    return [layer for layer in inner.image_encoder.modules() if isinstance(layer, _BatchNorm)]
