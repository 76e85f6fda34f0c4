"""Refuse weights of another model."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import BaseLoop, Runner

from urbancross_mm.registry import HOOKS
from urbancross_mm.utils.state_dicts import (
    check_state_dict,
    count_parts,
    load_report,
    own_weights,
)

# Of losses: a model that only tests, or trains by others, does without.
_OF_TRAINING = ('head.', 'adaptation.')


@HOOKS.register_module()
class CheckpointGuardHook(Hook):
    """Compare a checkpoint with the model before it is loaded.

    mmengine loads with ``strict=False``: a checkpoint of another model loads nothing, logs a page
    of keys and goes on with random weights. This hook raises when a test or a resumed run would
    start with any weight missing or of another shape, when a fine-tune would load less than half
    (an adaptation: not all), and when a checkpoint without optimizer state is to be resumed. Of
    what it lets pass it names the parts that start from new weights, and those left out.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check the state dict that mmengine is about to load.

        Args:
            runner (Runner): Holds the model.
            checkpoint (dict): The loaded checkpoint.

        Raises:
            ValueError: If the checkpoint does not fit.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model = getattr(runner.model, 'whole', model)  # each rank may hold a part of it
        if runner._resume and 'optimizer' not in checkpoint:
            raise ValueError(
                f'{runner._load_from} holds weights only, as best_*.pth do: resume from an '
                'epoch_*.pth, or start a new run with load_from'
            )
        if runner._resume and not _says_where_it_was(checkpoint):
            raise ValueError(
                f'{runner._load_from} does not say where its run was (meta, '
                'message_hub), so none can go on from it: start one with load_from'
            )
        if runner._resume:
            _check_optimizer(runner, checkpoint['optimizer'])
        # Before training starts the loop is still a config; a test never builds it.
        fine_tune = isinstance(runner._train_loop, BaseLoop) and not runner._resume
        given = checkpoint.get('state_dict', checkpoint)
        weights = own_weights(model, given)
        if weights is not given:  # of the field, or of another image size
            checkpoint['state_dict'] = weights
        partial = fine_tune and not getattr(model, 'starts_whole', False)
        new = check_state_dict(model, weights, runner._load_from, partial)
        own = model.state_dict()
        told = {n: v for n, v in weights.items() if n in own or not n.startswith(_OF_TRAINING)}
        runner.logger.info(load_report(own, told, runner._load_from))
        if new:
            runner.logger.warning(f'new weights, not in {runner._load_from}: {count_parts(new)}')


def _says_where_it_was(checkpoint: dict[str, Any]) -> bool:
    meta = checkpoint.get('meta')
    return (
        isinstance(meta, dict)
        and isinstance(checkpoint.get('message_hub'), dict)
        and isinstance(meta.get('epoch'), int)
        and isinstance(meta.get('iter'), int)
        and isinstance(meta.get('seed'), int | None)
        and isinstance(checkpoint.get('param_schedulers'), dict | list | None)
    )


def _check_optimizer(runner: Runner, saved: Any) -> None:
    """torch says of another optimizer that a key is missing."""
    if not isinstance(saved, dict):
        raise ValueError(
            f'the optimizer of {runner._load_from} is a {type(saved).__name__}, where '
            'a dict is needed: start a new run with load_from'
        )
    wrapper = runner.optim_wrapper
    if isinstance(wrapper, OptimWrapperDict):
        # mmengine would leave one that is missing as it is.
        if saved.keys() != set(wrapper.keys()):
            raise ValueError(
                f'{runner._load_from} has no state of the optimizers {sorted(wrapper.keys())} that '
                f'the config says, but of {sorted(map(str, saved))}: start a new run with load_from'
            )
        for name, one in wrapper.items():
            _check_groups(runner, saved[name], one, f' ({name})')
    elif isinstance(wrapper, OptimWrapper):
        _check_groups(runner, saved, wrapper)


def _check_groups(runner: Runner, saved: Any, wrapper: OptimWrapper, name: str = '') -> None:
    groups = saved.get('param_groups') if isinstance(saved, dict) else None
    groups = groups if isinstance(groups, list) else []
    own = wrapper.optimizer.param_groups
    lacking = {
        key
        for old, new in zip(groups, own, strict=False)
        for key in new.keys() - old.keys() - {'initial_lr'}
    }
    if len(groups) != len(own) or lacking:
        raise ValueError(
            f'{runner._load_from} was trained with another optimizer{name} than the config says '
            f'({len(groups)} groups of weights for {len(own)}; lacking: '
            f'{", ".join(sorted(lacking)) or "nothing"}): start a new run with load_from'
        )
