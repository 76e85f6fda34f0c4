"""Refuse a training that could not learn."""

from __future__ import annotations

from collections.abc import Sized

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from urbancross_mm.registry import HOOKS
from urbancross_mm.utils.dist import world_info


@HOOKS.register_module()
class TrainingGuardHook(Hook):
    """Look, before anything runs, whether there is a batch, a step, a weight and a negative.

    mmengine trains without a single step, and calls the untrained weights the best checkpoint.
    :func:`urbancross_mm.apis.build_runner` adds this hook to every run.
    """

    def before_run(self, runner: Runner) -> None:
        """Check the loops that were built.

        Args:
            runner (Runner): Has its loops, and for a training its optimizer.

        Raises:
            ValueError: If a loader has no batch, a training no step, no weight to train, a
                learning rate of 0, or in each batch a single pair for a loss that needs negatives.
        """
        for name in ('train', 'val', 'test'):
            loop = getattr(runner, f'_{name}_loop')
            if isinstance(loop, BaseLoop):
                _check_batches(loop.dataloader, f'{name}_dataloader')
        if isinstance(runner._train_loop, BaseLoop):
            _check_steps(runner.train_loop)
            _check_weights(runner)
            _check_negatives(runner)

    def before_train(self, runner: Runner) -> None:
        """Say that a resumed run was over.

        Args:
            runner (Runner): Has loaded its checkpoint.
        """
        if runner.iter >= runner.max_iters:
            runner.logger.warning(f'nothing is left to train: {runner._load_from} has '
                                  f'{runner.iter} of {runner.max_iters} iterations')


def _check_batches(loader: DataLoader, name: str) -> None:
    if not isinstance(loader.dataset, Sized) or len(loader):
        return
    items = len(loader.sampler) if isinstance(loader.sampler, Sized) else len(loader.dataset)
    if not items:
        raise ValueError(f'{name} has no items')
    ranks = f' on each of {world_info().world_size} ranks' if world_info().world_size > 1 else ''
    raise ValueError(f'{items} items{ranks} make no batch of {_batch_size(loader)} with drop_last: '
                     f'lower {name}.batch_size')


def _batch_size(loader: DataLoader) -> int:
    return loader.batch_size or getattr(loader.batch_sampler, 'batch_size', 1)


def _check_steps(loop: BaseLoop) -> None:
    if loop.max_iters < 1:
        name, value = ('max_epochs', loop.max_epochs) if isinstance(loop, EpochBasedTrainLoop) \
            else ('max_iters', loop.max_iters)
        raise ValueError(f'train_cfg.{name}={value} trains nothing')


def _check_weights(runner: Runner) -> None:
    model = runner.model
    if not any(weight.requires_grad for weight in model.parameters()):
        raise ValueError(f'every weight of {type(model).__name__} is frozen: there is nothing to '
                         'train')
    wrappers = dict(runner.optim_wrapper.items()) \
        if isinstance(runner.optim_wrapper, OptimWrapperDict) else {'': runner.optim_wrapper}
    for wrapper in wrappers.values():
        # A group may have lr 0, as those of a warm-up or of an encoder that is not trained.
        if wrapper.optimizer.defaults.get('lr') == 0:
            raise ValueError('optim_wrapper.optimizer.lr=0 trains nothing')


def _check_negatives(runner: Runner) -> None:
    """A loss over pairs compares them with the others of the batch; without others it is 0."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    head = getattr(getattr(model, 'retriever', model), 'head', None)
    if not hasattr(head, 'gather') or not getattr(model, 'paired_loss', True):
        return
    loader = runner.train_dataloader
    sources = getattr(loader.batch_sampler, 'sources', None)  # CrossDomainSampler's
    pairs = sum(count for _, count in sources) if sources else _batch_size(loader)
    if isinstance(loader.sampler, Sized):
        pairs = min(pairs, len(loader.sampler))
    if pairs * (world_info().world_size if head.gather else 1) > 1:
        return
    what = 'each batch holds a single pair, and a contrastive loss needs others as negatives'
    if not sources:
        raise ValueError(f'{what}: raise train_dataloader.batch_size')
    runner.logger.warning(f'{what}: raise train_dataloader.batch_sampler.source')
