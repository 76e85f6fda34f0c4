"""The curriculum of an adaptation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop, Runner

from urbancross_mm.functional.curriculum import scheduled
from urbancross_mm.registry import HOOKS
from urbancross_mm.structures import CurriculumStage

SCOPES = ('per_run', 'per_epoch')
RATIO = dict(schedule='step', start=0.2, step=0.2, end=1.0)
MARGIN = dict(schedule='step', start=0.5, step=0.2, end=1.5)


@HOOKS.register_module()
class SourceCurriculumHook(Hook):
    """Let the share of the source, and the margin, grow from epoch to epoch.

    One epoch is one pass over the target. The stage is worked out from ``runner.epoch``, so there
    is nothing to save, and a resumed run goes on where it was. The adaptation's ``set_stage``
    gets a :class:`CurriculumStage`.

    Args:
        num_stages (int): Stages of the curriculum; the last one stays. Defaults to 5.
        ratio (Mapping): Of the source to select: arguments of
            :func:`urbancross_mm.functional.curriculum.scheduled` over the defaults, 0.2 to 1.0 by
            0.2. Defaults to None.
        margin (Mapping): Of the triplet loss: as ``ratio``, over 0.5 to 1.5 by 0.2.
            Defaults to None.
        scope (str): 'per_run', one ramp; 'per_epoch', as published: after ``num_stages`` passes
            over the target the ramp begins again. Defaults to 'per_run'.

    Raises:
        ValueError: If the scope or a schedule is unknown, or a stage has a ratio outside (0, 1].

    Examples:
        >>> custom_hooks = [dict(type='SourceCurriculumHook', num_stages=5,
        ...                      ratio=dict(schedule='linear', start=0.3, end=1.0))]
    """

    def __init__(
        self,
        num_stages: int = 5,
        ratio: Mapping[str, Any] | None = None,
        margin: Mapping[str, Any] | None = None,
        scope: str = 'per_run',
    ) -> None:
        if scope not in SCOPES:
            raise ValueError(f'scope must be one of {SCOPES}, got {scope!r}')
        if num_stages < 1:
            raise ValueError(f'num_stages must be at least 1, got {num_stages}')
        self.num_stages = num_stages
        self.ratio = {**RATIO, **(ratio or {})}
        self.margin = {**MARGIN, **(margin or {})}
        self.scope = scope
        for stage in range(num_stages):
            ratio_now = self.stage_at(stage).ratio
            if not 0 < ratio_now <= 1:
                raise ValueError(
                    f'the ratio at stage {stage} is {ratio_now}: it must lie in '
                    '(0, 1], or it selects nothing'
                )

    def stage_at(self, epoch: int) -> CurriculumStage:
        """The stage in force in an epoch.

        Args:
            epoch (int): From 0.

        Returns:
            CurriculumStage: Its number, ratio and margin.
        """
        stage = (
            epoch % self.num_stages
            if self.scope == 'per_epoch'
            else min(epoch, self.num_stages - 1)
        )
        return CurriculumStage(
            stage,
            scheduled(stage, self.num_stages, **self.ratio),
            scheduled(stage, self.num_stages, **self.margin),
        )

    def before_train(self, runner: Runner) -> None:
        """Refuse a run without epochs.

        Args:
            runner (Runner): Has the loop.

        Raises:
            ValueError: If the loop counts iterations: the stage would never move.
        """
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            raise ValueError('SourceCurriculumHook needs epochs: set train_cfg.by_epoch=True')

    def before_train_epoch(self, runner: Runner) -> None:
        """Set the stage.

        Args:
            runner (Runner): Gives the epoch and the model.

        Raises:
            ValueError: If the model has no adaptation.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        adaptation = getattr(model, 'adaptation', None)
        if adaptation is None:
            raise ValueError(
                f'{type(model).__name__} has no adaptation for SourceCurriculumHook to guide: '
                'give the model one, or remove the hook'
            )
        stage = self.stage_at(runner.epoch)
        adaptation.set_stage(stage)
        runner.logger.info(
            f'curriculum: stage {stage.stage}, ratio {stage.ratio:.2f}, margin {stage.margin:.2f}'
        )
