"""What mmengine keeps between runs, and forgetting it."""

from pathlib import Path

from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope

from urbancross_mm.utils.run_state import forget_runs
from urbancross_mm.visualization import RetrievalVisualizer


def test_a_second_run_finds_nothing_of_the_first(tmp_path: Path) -> None:
    logger = MMLogger.get_instance('first', log_file=str(tmp_path / 'first.log'))
    MessageHub.get_instance('first').update_info('best_score', 1.0)
    visualizer = RetrievalVisualizer.get_instance('first')
    DefaultScope.get_instance('first', scope_name='mmpretrain')
    file = next(handler for handler in logger.handlers if hasattr(handler, 'baseFilename'))
    forget_runs()
    assert file.stream is None or file.stream.closed
    assert DefaultScope.get_current_instance() is None
    assert 'best_score' not in MessageHub.get_instance('first').runtime_info
    assert MMLogger.get_instance('first') is not logger
    assert RetrievalVisualizer.get_instance('first') is not visualizer
    forget_runs()
