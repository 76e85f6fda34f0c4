"""Refuse a training that could not learn."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from urbancross_mm.engine.hooks.learning_rates import RateWatch, check_optimizers
from urbancross_mm.engine.hooks.target_batch_norm_hook import TargetBatchNormHook
from urbancross_mm.registry import HOOKS


@HOOKS.register_module()
class TrainingGuardHook(Hook):
    """Look, before anything runs, whether there is a batch, a step, a weight and a negative.

    The counts of the data go to the log.

    mmengine trains without a single step, and calls the untrained weights the best checkpoint.
    :func:`urbancross_mm.apis.build_runner` adds this hook to every run.
    """

    def before_run(self, runner: Runner) -> None:
        """Check the loops that were built.

        Args:
            runner (Runner): Has its loops, and for a training its optimizer.

        Raises:
            ValueError: If a loader has no batch, a training no step, an optimizer no weight to
                train or a learning rate of 0, all losses a weight of 0, each batch a single pair
                for a loss that needs negatives, a pipeline another encoder's tokenizer.
        """
        counts = []
        for name in ('train', 'val', 'test'):
            loop = getattr(runner, f'_{name}_loop')
            if isinstance(loop, BaseLoop):
                check_batches(loop.dataloader, f'{name}_dataloader')
                _check_tokenizers(runner, loop.dataloader.dataset, f'{name}_dataloader')
                counts.append(f'{name} {_count(loop.dataloader)}')
        runner.logger.info(f'data: {", ".join(counts)}')
        if isinstance(runner._train_loop, BaseLoop):
            _check_steps(runner.train_loop)
            _check_weights(runner)
            if not _keeps_weights(runner):
                check_optimizers(runner)
            _check_losses(runner)
            _check_negatives(runner)

    def before_train(self, runner: Runner) -> None:
        """Say that a resumed run was over.

        Args:
            runner (Runner): Has loaded its checkpoint.
        """
        if runner.iter >= runner.max_iters:
            runner.logger.warning(
                f'nothing is left to train: {runner._load_from} has '
                f'{runner.iter} of {runner.max_iters} iterations'
            )
        self._rates = RateWatch(runner)

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Note the learning rates; one that comes to 0 before the end is logged."""
        self._rates.note(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Refuse a schedule that has not left 0, before a checkpoint is saved.

        Args:
            runner (Runner): Has trained an epoch, or all its iterations.

        Raises:
            ValueError: If every learning rate of an optimizer was 0 until now.
        """
        if not _keeps_weights(runner):
            self._rates.refuse_zero()

    def after_train(self, runner: Runner) -> None:
        """The same at the end, for a run without epochs."""
        self.after_train_epoch(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Compare the metrics with those that the best checkpoint is chosen by.

        Args:
            runner (Runner): Has its hooks.
            metrics (dict, optional): Of the validation. Defaults to None.

        Raises:
            ValueError: If one is not among them.
        """
        for hook in runner.hooks:
            for name in getattr(hook, 'key_indicators', None) or []:
                if metrics and name not in (*metrics, 'auto'):
                    raise ValueError(
                        f'default_hooks.checkpoint.save_best={name} is none of the '
                        f'metrics of val_evaluator: {", ".join(metrics)}'
                    )


def check_batches(loader: DataLoader, name: str) -> None:
    """Refuse a loader that gives no batch."""
    if not isinstance(loader.dataset, Sized) or len(loader):
        return
    items = len(loader.sampler) if isinstance(loader.sampler, Sized) else len(loader.dataset)
    if not items:
        raise ValueError(f'{name} has no items')
    ranks = f' on each of {get_world_size()} ranks' if get_world_size() > 1 else ''
    raise ValueError(
        f'{items} items{ranks} make no batch of {_batch_size(loader)} with drop_last: '
        f'lower {name}.batch_size (--cfg-options {name}.batch_size={items})'
    )


def _check_tokenizers(runner: Runner, dataset: Any, name: str) -> None:
    """Wrappers hold their datasets in ``dataset`` or ``datasets``."""
    check = getattr(_bare(runner), 'check_tokenizer', None)
    for part in [*getattr(dataset, 'datasets', ()), getattr(dataset, 'dataset', None)]:
        if part is not None:
            _check_tokenizers(runner, part, name)
    for step in getattr(getattr(dataset, 'pipeline', None), 'transforms', ()):
        if check is not None and hasattr(step, 'tokenizer'):
            try:
                check(step.tokenizer)
            except ValueError as error:
                raise ValueError(f'{name}: {error}') from None


def _count(loader: DataLoader) -> str:
    if not isinstance(loader.dataset, Sized):
        return 'a stream'
    return f'{len(loader.dataset)} items in {len(loader)} batch{"" if len(loader) == 1 else "es"}'


def _batch_size(loader: DataLoader) -> Any:
    return loader.batch_size or getattr(loader.batch_sampler, 'batch_size', 1)


def _check_steps(loop: BaseLoop) -> None:
    if loop.max_iters < 1:
        name, value = (
            ('max_epochs', loop.max_epochs)
            if isinstance(loop, EpochBasedTrainLoop)
            else ('max_iters', loop.max_iters)
        )
        raise ValueError(f'train_cfg.{name}={value} trains nothing')


def _check_weights(runner: Runner) -> None:
    model = _bare(runner)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    if not trained:
        raise ValueError(
            f'every weight of {type(model).__name__} is frozen: there is nothing to train'
        )
    head = getattr(model, 'head', None)
    own = {id(weight) for weight in head.parameters()} if head is not None else set()
    # A head's one number, the learned scale, changes no ranking.
    if all(id(weight) in own and weight.numel() == 1 for weight in trained):
        raise ValueError(
            f'every encoder of {type(model).__name__} is frozen and has no projection '
            '(embed_dim): only the scale of the loss would be trained'
        )


def _check_losses(runner: Runner) -> None:
    model = _bare(runner)
    adaptation = getattr(model, 'adaptation', None)
    head = _paired_head(model)
    losses = [
        *(adaptation or ()),
        *(getattr(head, name, None) for name in ('image_loss', 'segment_loss')),
    ]
    factors = [getattr(loss, 'loss_weight', 1) for loss in losses if loss is not None]
    if factors and not any(factors):
        raise ValueError(
            f'every loss of {type(model).__name__} has loss_weight=0: there is nothing to learn'
        )


def _check_negatives(runner: Runner) -> None:
    """A loss over pairs compares them with the others of the batch; without others it is 0."""
    model = _bare(runner)
    head = _paired_head(model)
    if not hasattr(head, 'pair_losses'):
        return
    loader = runner.train_dataloader
    sources = getattr(loader.batch_sampler, 'sources', None)  # CrossDomainSampler's
    pairs = sum(count for _, count in sources) if sources else _batch_size(loader)
    if isinstance(loader.sampler, Sized):
        pairs = min(pairs, len(loader.sampler))
    if pairs * get_world_size() > 1:
        return
    what = 'each batch holds a single pair, and a contrastive loss needs others as negatives'
    if not sources:
        raise ValueError(f'{what}: raise train_dataloader.batch_size')
    runner.logger.warning(f'{what}: raise train_dataloader.batch_sampler.source')


def _keeps_weights(runner: Runner) -> bool:
    """Whether a run is to change the statistics of BatchNorm, and may leave the weights alone."""
    return any(isinstance(hook, TargetBatchNormHook) for hook in runner.hooks)


def _bare(runner: Runner) -> Any:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _paired_head(model: Any) -> Any:
    """The head, unless an adaptation leaves it out."""
    adaptation = getattr(model, 'adaptation', None)
    left_out = adaptation is not None and not adaptation.paired_loss
    return None if left_out else getattr(model, 'head', None)
