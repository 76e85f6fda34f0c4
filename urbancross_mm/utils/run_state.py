"""What mmengine keeps between the runs of one process."""

from __future__ import annotations

from typing import Any


def forget_runs() -> None:
    """Close and drop the loggers, message hubs and visualizers of earlier runs.

    mmengine keeps them by name, so a second Runner of a process would find the first one's: its
    log file, its best score, its writers. After this call it starts as in a process of its own.
    """
    from mmengine.logging import MessageHub, MMLogger
    from mmengine.registry import DefaultScope
    from mmengine.visualization import Visualizer

    for visualizer in Visualizer._instance_dict.values():
        visualizer.close()
    for logger in MMLogger._instance_dict.values():
        for handler in logger.handlers:
            handler.close()
    for manager in (MMLogger, MessageHub, Visualizer, DefaultScope):
        for kind in _with_subclasses(manager):
            kind._instance_dict.clear()


def _with_subclasses(kind: Any) -> list[Any]:
    """A class and all below it: each keeps a dict of its own."""
    return [kind, *(found for child in kind.__subclasses__() for found in _with_subclasses(child))]
