"""A Runner with a short console: what only helps to look into a run stays in its log file."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import Runner

# How the messages begin that a reader of the console skips.
_FILE_ONLY = re.compile(
    r'\n-+\nSystem environment|Config:\n|Hooks will be executed|Distributed training is not used'
    r'|paramwise_options -- |Exp name: |Checkpoints will be saved to |"FileClient" will be '
    r'|"HardDiskBackend" is the alias'
    # Pretrained weights of a classifier, whose last layer has no place in an encoder.
    r'|The model and loaded state dict do not match exactly\n\nunexpected key'
    r'(?s:(?!missing keys).)*$'
)


class ShortLogRunner(Runner):
    """mmengine's Runner; ``log_level='DEBUG'`` brings back its whole console."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger, and say where the run and its whole log are.

        Args:
            *args: Of mmengine's.
            **kwargs: Of mmengine's.

        Returns:
            MMLogger: Its console leaves out system, config, hooks and options of single weights.
        """
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            console = not isinstance(handler, logging.FileHandler)
            if console and logging.DEBUG < handler.level <= logging.WARNING:
                handler.addFilter(_is_for_the_console)
        logger.info(
            f'{Path(self.cfg.filename or "config").name}: the run is written to {self.work_dir}, '
            f'its whole log to {logger.log_file}'
        )
        return logger

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load weights; mmengine prints what does not match, and CheckpointGuardHook judges it.

        Args:
            *args: Of mmengine's.
            **kwargs: Of mmengine's.

        Returns:
            dict: The checkpoint.
        """
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            checkpoint = super().load_checkpoint(*args, **kwargs)
        self.logger.info(printed.getvalue().strip(), extra=dict(file_only=True))
        return checkpoint


def _is_for_the_console(record: logging.LogRecord) -> bool:
    return not getattr(record, 'file_only', False) and not _FILE_ONLY.match(record.getMessage())
