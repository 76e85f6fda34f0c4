"""Schedules that follow the runner: nothing is saved, so a resumed run is where it was."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import IterBasedTrainLoop
from torch import nn

from tests.models.helpers import cross_modal
from urbancross_mm.engine import (
    GradientReversalHook,
    MinStepsHook,
    SourceCurriculumHook,
    TargetBatchNormHook,
)
from urbancross_mm.functional.curriculum import reversal_ramp
from urbancross_mm.models import DomainAdversarialHead
from urbancross_mm.structures import CurriculumStage


class Adapting(nn.Module):
    """A model with a curriculum and two discriminators, one of them deep inside."""

    def __init__(self) -> None:
        super().__init__()
        self.stages: list[CurriculumStage] = []
        self.heads = nn.ModuleList(
            [DomainAdversarialHead(2), nn.Sequential(DomainAdversarialHead(2))]
        )

    @property
    def adaptation(self) -> 'Adapting':
        return self

    def set_stage(self, stage: CurriculumStage) -> None:
        self.stages.append(stage)

    @property
    def coefficients(self) -> list[float]:
        return [float(self.heads[0].coefficient), float(self.heads[1][0].coefficient)]


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f'{record.levelname}: {record.getMessage()}')


def runner(model: nn.Module, **fields: Any) -> SimpleNamespace:
    logger = logging.Logger('test')
    logger.addHandler(lines := Lines())
    return SimpleNamespace(
        **{
            'model': model,
            'epoch': 0,
            'iter': 0,
            'max_iters': 100,
            'logger': logger,
            'lines': lines,
            **fields,
        }
    )


def ratios(hook: SourceCurriculumHook, epochs: int) -> list[float]:
    return [hook.stage_at(epoch).ratio for epoch in range(epochs)]


def test_the_published_curriculum_is_one_ramp() -> None:
    hook = SourceCurriculumHook()
    stages = [hook.stage_at(epoch) for epoch in range(7)]
    assert [stage.stage for stage in stages] == [0, 1, 2, 3, 4, 4, 4]
    assert [stage.ratio for stage in stages] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1])
    assert [stage.margin for stage in stages] == pytest.approx([0.5, 0.7, 0.9, 1.1] + [1.3] * 3)


def test_per_epoch_begins_the_ramp_again_as_published() -> None:
    hook = SourceCurriculumHook(num_stages=3, scope='per_epoch')
    stages = [hook.stage_at(epoch) for epoch in range(7)]
    assert [stage.stage for stage in stages] == [0, 1, 2, 0, 1, 2, 0]
    assert [stage.ratio for stage in stages] == pytest.approx([0.2, 0.4, 0.6] * 2 + [0.2])


def test_other_schedules() -> None:
    linear = SourceCurriculumHook(4, ratio=dict(schedule='linear', start=0.1, end=0.4))
    assert ratios(linear, 5) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4])
    table = SourceCurriculumHook(
        4,
        ratio=dict(schedule='table', table=(1.0, 0.5)),
        margin=dict(schedule='table', table=(0.3,)),
    )
    assert ratios(table, 5) == [1.0, 0.5, 0.5, 0.5, 0.5]
    assert table.stage_at(3).margin == 0.3


def test_a_schedule_changes_what_it_names() -> None:
    hook = SourceCurriculumHook(ratio=dict(start=0.6), margin=dict(start=1.1))
    assert ratios(hook, 4) == pytest.approx([0.6, 0.8, 1.0, 1.0])
    assert [hook.stage_at(epoch).margin for epoch in range(5)] == pytest.approx(
        [1.1, 1.3, 1.5, 1.5, 1.5]
    )


def test_a_run_that_counts_iterations_has_no_stages() -> None:
    loop = IterBasedTrainLoop.__new__(IterBasedTrainLoop)
    with pytest.raises(ValueError, match='train_cfg.by_epoch=True'):
        SourceCurriculumHook().before_train(runner(Adapting(), train_loop=loop))
    SourceCurriculumHook().before_train(runner(Adapting(), train_loop=None))


def test_the_stage_is_that_of_the_runner_s_epoch() -> None:
    """A resumed run asks with the epoch it is in."""
    model, hook = Adapting(), SourceCurriculumHook()
    state = runner(model, epoch=3)
    hook.before_train_epoch(state)
    assert model.stages == [hook.stage_at(3)]
    assert state.lines.texts == ['INFO: curriculum: stage 3, ratio 0.80, margin 1.10']


def test_a_distributed_model_is_unwrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Adapting()
    wrapper = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    nn.Module.__init__(wrapper)
    wrapper.module = model
    SourceCurriculumHook().before_train_epoch(runner(wrapper))
    assert len(model.stages) == 1
    hook = GradientReversalHook()
    hook.before_train(runner(wrapper))
    hook.before_train_iter(runner(wrapper, iter=50), 0)
    assert model.coefficients == pytest.approx([reversal_ramp(0.5)] * 2)


@pytest.mark.parametrize(
    'kwargs, words',
    [
        (dict(scope='per_year'), "scope must be one of .* got 'per_year'"),
        (dict(num_stages=0), 'num_stages must be at least 1, got 0'),
        (dict(ratio=dict(start=0.0)), 'the ratio at stage 0 is 0.0'),
        (dict(ratio=dict(schedule='table', table=(0.5, 1.5))), 'the ratio at stage 1 is 1.5'),
        (dict(ratio=dict(schedule='cosine')), 'schedule must be one of'),
        (dict(margin=dict(schedule='cosine')), 'schedule must be one of'),
    ],
)
def test_a_wrong_curriculum_is_refused_before_training(kwargs: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SourceCurriculumHook(**kwargs)


def test_a_model_without_a_curriculum() -> None:
    with pytest.raises(ValueError, match='Linear .*adaptation'):
        SourceCurriculumHook().before_train_epoch(runner(nn.Linear(2, 2)))


@pytest.mark.parametrize(
    'kwargs, values',
    [
        (dict(), [0.0, reversal_ramp(0.25), reversal_ramp(0.99)]),
        (
            dict(maximum=0.1, gamma=5.0),
            [0.0, reversal_ramp(0.25, 0.1, 5.0), reversal_ramp(0.99, 0.1, 5.0)],
        ),
        (dict(schedule='constant', maximum=0.3), [0.3] * 3),
        (dict(schedule='constant', maximum=-1.0), [-1.0] * 3),  # the published sign
    ],
)
def test_the_coefficient_follows_the_runner_s_iteration(kwargs: dict, values: list[float]) -> None:
    model, hook = Adapting(), GradientReversalHook(**kwargs)
    hook.before_train(runner(model))
    for iteration, value in zip((0, 25, 99), values):
        hook.before_train_iter(runner(model, iter=iteration), 0)
        assert model.coefficients == pytest.approx([value] * 2)


def test_nothing_to_reverse() -> None:
    with pytest.raises(ValueError, match='discriminator'):
        GradientReversalHook().before_train(runner(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match="schedule .* 'cosine'"):
        GradientReversalHook('cosine')


@pytest.mark.parametrize(
    'accuracies, warned',
    [
        ([50.0] * 4 + [100.0] * 2, True),  # the last epoch counts
        ([100.0] * 4 + [95.0] * 2, False),
        (None, False),
    ],
)
def test_it_warns_of_a_discriminator_that_has_won(
    accuracies: list[float] | None, warned: bool
) -> None:
    scalars = (
        {}
        if accuracies is None
        else {'train/domain_acc': HistoryBuffer(accuracies, [1] * len(accuracies))}
    )
    state = runner(
        Adapting(),
        epoch=2,
        message_hub=SimpleNamespace(log_scalars=scalars),
        train_dataloader=[None, None],
    )
    GradientReversalHook().after_train_epoch(state)
    assert len(state.lines.texts) == warned
    if warned:
        assert (
            'WARNING: the discriminator tells the domains apart in 100.0 %' in state.lines.texts[0]
            and 'epoch 3' in state.lines.texts[0]
        )


def test_the_coefficient_is_in_force_for_the_gradient() -> None:
    model, hook = Adapting(), GradientReversalHook('constant', maximum=2.0)
    hook.before_train(runner(model))
    grads = []
    for _ in range(2):
        embeds = torch.ones(3, 2, requires_grad=True)
        model.heads[0](embeds, 'image').sum().backward()
        grads.append(embeds.grad)
        hook.before_train_iter(runner(model), 0)
    torch.testing.assert_close(grads[1], 2 * grads[0])


def test_no_batch_norm_to_adapt() -> None:
    with pytest.raises(ValueError, match='image encoder .*BatchNorm'):
        TargetBatchNormHook('spain').before_train(runner(cross_modal()))
    # A resumed run has been adapted, also in its first epoch.
    TargetBatchNormHook('spain').before_train(runner(cross_modal(), iter=5))


@pytest.mark.parametrize(('steps', 'warned'), [(239, True), (240, False), (1000, False)])
def test_a_short_adaptation_is_warned_of(steps: int, warned: bool) -> None:
    run = runner(Adapting(), max_iters=steps)
    MinStepsHook(240).before_train(run)
    assert [
        line.startswith(f'WARNING: this adaptation has {steps} steps') for line in run.lines.texts
    ] == [True] * warned


def test_a_minimum_of_no_steps_is_refused() -> None:
    with pytest.raises(ValueError, match='min_steps .* 0'):
        MinStepsHook(0)
