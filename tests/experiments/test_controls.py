"""The same steps without adaptation stand beside every method."""

from __future__ import annotations

from tests.runs import CONFIGS
from urbancross_mm.experiments import Job, MatrixSpec, Template, parse_methods, plan
from urbancross_mm.experiments.controls import control_config

SOURCE = str(CONFIGS / 'urbancross_{source}_no-segments.py')


def jobs_of(*methods: str, **settings: object) -> list[Job]:
    """Jobs of a matrix of two countries, without any file of data."""
    settings.setdefault('only', (('finland', 'spain'),))
    spec = MatrixSpec(
        ('finland', 'spain'), Template(SOURCE), parse_methods(methods, source=SOURCE), **settings
    )
    return plan(spec)


def test_methods_of_one_schedule_share_a_control() -> None:
    jobs = jobs_of(
        'transport',
        'plain',
        'dann',
        'curriculum',
        'short=transport;train_cfg.max_epochs=5',
        'batch-norm',
        seeds=(0, 1),
    )
    adapted = [job for job in jobs if job.adapts and job.seed == 1]
    assert [(job.method, job.control) for job in adapted] == [
        ('control', None),
        ('transport', 'control'),
        ('control-plain', None),
        ('plain', 'control-plain'),
        ('dann', 'control'),
        ('curriculum', 'control-plain'),
        ('control-short', None),
        ('short', 'control-short'),
        ('batch-norm', None),
    ]


def test_a_control_has_the_steps_and_batches_of_its_method_and_nothing_that_adapts() -> None:
    jobs = {job.method: job for job in jobs_of('curriculum')}
    control, method = jobs['control'], jobs['curriculum']
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'):
        assert control.config[key] == method.config[key]
    assert control.config['model']['adaptation'] == dict(
        target='spain', losses=[], selector=None, paired_loss=True
    )
    assert method.config['model']['adaptation']['losses']
    hooks = [hook['type'] for hook in control.config['custom_hooks']]
    assert 'SourceCurriculumHook' in str(method.config['custom_hooks'])
    assert 'MinStepsHook' in hooks and 'EpochSeedHook' in hooks
    assert not {'SourceCurriculumHook', 'GradientReversalHook'} & set(hooks)
    assert (control.start, control.needs) == (method.start, method.needs)
    assert control.fingerprint != method.fingerprint


def test_no_control_and_no_method() -> None:
    assert 'control' not in {job.method for job in jobs_of('transport', control=False)}
    assert {job.method for job in jobs_of()} == {'in-target', 'source-only'}


def test_hooks_of_other_packages_and_of_the_source_stay() -> None:
    """Averaging weights, say, is a way to train and none to adapt."""
    hooks = [dict(type=name) for name in ('EMAHook', 'TargetBatchNormHook', 'EpochSeedHook')]
    config = dict(model=dict(type='Model'), custom_hooks=hooks)
    assert control_config(config, {}) == dict(config, custom_hooks=hooks[:1])
    source = dict(custom_hooks=hooks[2:])
    assert control_config(config, source) == dict(config, custom_hooks=[hooks[0], hooks[2]])
