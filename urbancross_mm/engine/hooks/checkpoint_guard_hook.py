"""Refuse weights of another model."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner

from urbancross_mm.registry import HOOKS
from urbancross_mm.utils.checkpoints import compare_state_dicts


@HOOKS.register_module()
class CheckpointGuardHook(Hook):
    """Compare a checkpoint with the model before it is loaded.

    mmengine loads with ``strict=False``: a checkpoint of another model loads nothing, logs a page
    of keys and goes on with random weights. This hook raises when a test or a resumed run would
    start with any weight missing or of another shape, and when a fine-tune would load nothing.
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
        found = checkpoint.get('state_dict', checkpoint)
        missing, mismatched, matched = compare_state_dicts(model.state_dict(), found)
        # Before training starts the loop is still a config; a test never builds it.
        fine_tune = isinstance(runner._train_loop, BaseLoop) and not runner._resume
        if matched and (fine_tune or not (missing or mismatched)):
            return
        examples = ', '.join((mismatched + missing)[:3])
        raise ValueError(
            f'the checkpoint {runner._load_from} is of another model: of the '
            f'{len(model.state_dict())} weights of {type(model).__name__}, {matched} fit, '
            f'{len(missing)} are missing and {len(mismatched)} have another shape ({examples})'
        )
