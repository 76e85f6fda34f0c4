"""Learning rates of 0: refused where nothing is learned, said where learning ends early."""

from __future__ import annotations

from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner


def named_wrappers(runner: Runner) -> dict[str, OptimWrapper]:
    """The optimizers of a run, by the names of their settings."""
    wrapper = runner.optim_wrapper
    if not isinstance(wrapper, OptimWrapperDict):
        return dict(optim_wrapper=wrapper)
    return {f'optim_wrapper.{name}': one for name, one in wrapper.items()}


def check_optimizers(runner: Runner) -> None:
    """Refuse an optimizer that has no weight to train, or trains it by 0."""
    wrappers = named_wrappers(runner)
    for name, wrapper in wrappers.items():
        groups = wrapper.optimizer.param_groups
        if not any(weight.requires_grad for group in groups for weight in group['params']):
            raise ValueError(f'every weight of {name} is frozen: there is nothing to train')
        # A group may have lr 0, as that of an encoder that is not trained, and begin at 0.
        if wrapper.optimizer.defaults.get('lr') == 0:
            raise ValueError(f'{name}.optimizer.lr=0 trains nothing')
        if not any(group['lr'] or group.get('initial_lr') for group in groups):
            raise ValueError(
                f'optim_wrapper.paramwise_cfg sets the learning rate of every weight of {name} '
                'to 0: there is nothing to train'
            )


class RateWatch:
    """Notes the learning rates, which schedules change.

    Args:
        runner (Runner): About to train. A resumed run had a learning rate before.
    """

    def __init__(self, runner: Runner) -> None:
        self._largest = {
            name: max(
                group.get('initial_lr', group['lr']) if runner._resume else 0.0
                for group in wrapper.optimizer.param_groups
            )
            for name, wrapper in named_wrappers(runner).items()
        }
        self._said: set[str] = set()

    def note(self, runner: Runner) -> None:
        """Look at the rates of this iteration; warn once of one that has come to 0."""
        for name, wrapper in named_wrappers(runner).items():
            rate = max(group['lr'] for group in wrapper.optimizer.param_groups)
            if rate == 0 and self._largest[name] > 0 and name not in self._said:
                self._warn(runner, name)
            self._largest[name] = max(self._largest[name], rate)

    def refuse_zero(self) -> None:
        """Refuse a schedule that has not left 0."""
        for name, rate in self._largest.items():
            if rate == 0:
                raise ValueError(
                    f'the learning rate of {name} was 0 in every iteration: param_scheduler leaves '
                    'nothing of it'
                )

    def _warn(self, runner: Runner, name: str) -> None:
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        unit = 'epoch' if by_epoch else 'iteration'
        now, last = (
            (runner.epoch + 1, runner.max_epochs)
            if by_epoch
            else (runner.iter + 1, runner.max_iters)
        )
        self._said.add(name)
        if now < last:
            runner.logger.warning(
                f'the learning rate of {name} is 0 in {unit} {now} of {last}: nothing is learned '
                'until a schedule raises it again. param_scheduler (T_max, end) should cover the '
                'whole run'
            )
