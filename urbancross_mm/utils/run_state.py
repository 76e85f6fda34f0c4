"""What mmengine keeps between the runs of one process."""

from __future__ import annotations


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
        manager._instance_dict.clear()
