"""A Runner for training strategies such as fully sharded training."""

from __future__ import annotations

from typing import Any

from mmengine._strategy import BaseStrategy
from mmengine.registry import DefaultScope
from mmengine.runner import FlexibleRunner

from urbancross_mm.registry import SCOPE


class ShardedRunner(FlexibleRunner):
    """mmengine's FlexibleRunner, whose checkpoints say where they were made.

    mmengine saves the last checkpoint of an epoch again when it was the best, and FlexibleRunner
    then notes the next epoch in it, with which a resumed run would begin.
    """

    _given: dict[str, Any]

    def build_strategy(self, *args: Any, **kwargs: Any) -> BaseStrategy:
        """Build the strategy, ours by its name; mmengine sets the scope of the config afterwards.

        Args:
            *args (Any): Of mmengine's.
            **kwargs (Any): Of mmengine's.

        Returns:
            BaseStrategy: What builds, wraps and saves the model.
        """
        with DefaultScope.overwrite_default_scope(SCOPE):
            return super().build_strategy(*args, **kwargs)

    def save_checkpoint(
        self, *args: Any, meta: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Save a checkpoint, on all ranks.

        Args:
            *args (Any): Of mmengine's.
            meta (dict, optional): What the checkpoint says of itself, ``epoch`` and ``iter`` among
                it. Defaults to None.
            **kwargs (Any): Of mmengine's.
        """
        self._given = dict(meta or {})
        super().save_checkpoint(*args, meta=meta, **kwargs)

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call all hooks; before one sees a checkpoint, it says what it was given.

        Args:
            fn_name (str): The method of the hooks.
            **kwargs (Any): Its arguments.
        """
        if fn_name == 'before_save_checkpoint':
            kwargs['checkpoint']['meta'].update(self._given)
        super().call_hook(fn_name, **kwargs)
