"""The control of an adaptation: the same steps and batches, without anything that adapts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from urbancross_mm.experiments.spec import CONTROL, Direction, Job
from urbancross_mm.registry import HOOKS

# What a training is, apart from its data for validation and its logs.
_TRAINING = (
    'model',
    'train_dataloader',
    'train_cfg',
    'optim_wrapper',
    'param_scheduler',
    'custom_hooks',
    'default_hooks',
)
_KEPT_HOOK = 'MinStepsHook'

Jobs = dict[Direction, Job]


def add_controls(methods: Mapping[str, Jobs], sources: Mapping[str, Job]) -> Iterator[Jobs]:
    """Put a control before the first method of each schedule.

    Methods that differ only in how they adapt share one. The first is called ``control``, another
    ``control-<method>``. A method that trains nothing has none: its control is the source model.

    Args:
        methods (Mapping[str, dict]): The jobs of each method, by direction.
        sources (Mapping[str, Job]): The jobs of the source models, by domain.

    Yields:
        dict[tuple[str, str], Job]: The jobs of a control or of a method, which know their control.
    """
    known: dict[str, str] = {}
    for method, jobs in methods.items():
        if any(_trains_nothing(job.config) for job in jobs.values()):
            yield jobs
            continue
        configs = {
            pair: control_config(job.config, sources[pair[0]].config) for pair, job in jobs.items()
        }
        trainings = [{key: config.get(key) for key in _TRAINING} for config in configs.values()]
        schedule = json.dumps(trainings, default=str, sort_keys=True)
        if schedule not in known:
            known[schedule] = f'{CONTROL}-{method}' if known else CONTROL
            yield {
                pair: replace(job, method=known[schedule], config=configs[pair])
                for pair, job in jobs.items()
            }
        yield {pair: replace(job, control=known[schedule]) for pair, job in jobs.items()}


def control_config(config: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """Take out of a config what adapts.

    Args:
        config (Mapping): Of a method.
        source (Mapping): Of its source model.

    Returns:
        dict[str, Any]: The retriever's own loss on all source pairs. Hooks of this package stay
        only if the source model was trained with them too.
    """
    model = dict(config['model'])
    if model.get('adaptation'):
        target = model['adaptation'].get('target')
        model['adaptation'] = dict(target=target, losses=[], selector=None, paired_loss=True)
    kept = {hook['type'] for hook in source.get('custom_hooks') or ()} | {_KEPT_HOOK}
    hooks = [
        hook
        for hook in config.get('custom_hooks') or ()
        if hook['type'] in kept or not _is_own(hook['type'])
    ]
    return dict(config, model=model, custom_hooks=hooks)


def _is_own(hook: str) -> bool:
    return getattr(HOOKS.get(hook), '__module__', '').startswith('urbancross_mm.')


def _trains_nothing(config: Mapping[str, Any]) -> bool:
    """Whether every learning rate is 0, as where only statistics of BatchNorm adapt."""
    wrapper = config.get('optim_wrapper') or {}
    keys = (wrapper.get('paramwise_cfg') or {}).get('custom_keys') or {}
    # '.' is in the name of every weight.
    factor = (keys.get('.') or {}).get('lr_mult', 1)
    return (wrapper.get('optimizer') or {}).get('lr', 1) * factor == 0
