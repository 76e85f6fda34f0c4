"""The strength of the adversarial signal."""

from __future__ import annotations

import logging

from mmengine.hooks import Hook
from mmengine.runner import Runner

from urbancross_mm.functional.curriculum import reversal_ramp
from urbancross_mm.registry import HOOKS

SCHEDULES = ('ramp', 'constant')
# Accuracy of a discriminator, in percent, that leaves the encoders no usable gradient.
SEPARATED = 99.0


@HOOKS.register_module()
class GradientReversalHook(Hook):
    """Set the coefficient of every gradient reversal before each step.

    Worked out from ``runner.iter``: nothing to save. Also warns, once an epoch, if the
    discriminator tells the domains apart perfectly: its gradient then says nothing more.

    Args:
        schedule (str): 'ramp', DANN's, from 0 to ``maximum``; 'constant'. Defaults to 'ramp'.
        maximum (float): Coefficient at the end; negative flips the sign, as in the published code.
            Defaults to 1.0.
        gamma (float): Steepness of the ramp. Defaults to 10.0.

    Raises:
        ValueError: If the schedule is unknown.

    Reference:
        DANN (https://arxiv.org/abs/1505.07818), section 5.2.
    """

    def __init__(self, schedule: str = 'ramp', maximum: float = 1.0, gamma: float = 10.0) -> None:
        if schedule not in SCHEDULES:
            raise ValueError(f'schedule must be one of {SCHEDULES}, got {schedule!r}')
        self.schedule = schedule
        self.maximum = maximum
        self.gamma = gamma

    def coefficient_at(self, progress: float) -> float:
        """The coefficient in force.

        Args:
            progress (float): Part of the run that is over, 0 to 1.

        Returns:
            float: The coefficient.
        """
        if self.schedule == 'constant':
            return self.maximum
        return reversal_ramp(progress, self.maximum, self.gamma)

    def before_train(self, runner: Runner) -> None:
        """Find the reversals.

        Raises:
            ValueError: If the model has none.
        """
        self._heads = [m for m in runner.model.modules() if hasattr(m, 'set_coefficient')]
        if not self._heads:
            raise ValueError(
                'GradientReversalHook found no discriminator in the model: add a '
                'WeightedDomainAdversarialLoss or remove the hook'
            )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Set the coefficient.

        Args:
            runner (Runner): Gives the progress.
            batch_idx (int): Not used.
            data_batch (dict, optional): Not used.
        """
        for head in self._heads:
            head.set_coefficient(self.coefficient_at(runner.iter / max(runner.max_iters, 1)))

    def after_train_epoch(self, runner: Runner) -> None:
        """Warn of a discriminator that has won.

        Args:
            runner (Runner): Gives the log.
        """
        scalars = runner.message_hub.log_scalars.get('train/domain_acc')
        if scalars is None:
            return
        accuracy = float(scalars.mean(len(runner.train_dataloader)))
        if accuracy >= SEPARATED:
            runner.logger.log(
                logging.WARNING,
                f'the discriminator tells the domains apart in {accuracy:.1f} % of the samples of '
                f'epoch {runner.epoch + 1}: the encoders do not follow; raise the coefficient of '
                "GradientReversalHook or lower the discriminator's learning rate",
            )
