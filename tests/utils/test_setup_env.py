"""Warnings about mixed installs, launchers without a GPU, and what mmengine keeps of a run."""

import importlib.metadata
import warnings
from pathlib import Path

import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope

from urbancross_mm.utils import setup_env
from urbancross_mm.visualization import RetrievalVisualizer


def test_a_mainline_package_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(
        setup_env.importlib.metadata,
        'version',
        lambda name: '0.10.7' if name == 'mmengine' else real(name),
    )
    with pytest.warns(UserWarning, match='mmengine 0.10.7.*pip uninstall'):
        setup_env.warn_about_mainline()


def test_the_supported_set_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        setup_env.warn_about_mainline()


def test_a_launcher_without_its_environment_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv('RANK', raising=False)
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    with pytest.raises(ValueError, match='RANK.*dist_train.sh'):
        setup_env.init_cpu_distributed('pytorch')
    assert setup_env.init_cpu_distributed('none') is False


@pytest.mark.parametrize(
    ('launcher', 'variable'),
    [('pytorch', 'RANK'), ('slurm', 'SLURM_PROCID'), ('mpi', 'OMPI_COMM_WORLD_LOCAL_RANK')],
)
def test_a_launcher_that_started_nothing(
    launcher: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ('RANK', 'WORLD_SIZE', 'SLURM_PROCID', 'OMPI_COMM_WORLD_LOCAL_RANK'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=f'--launcher {launcher} .*{variable}'):
        setup_env.init_cpu_distributed(launcher)


def test_a_second_run_finds_nothing_of_the_first(tmp_path: Path) -> None:
    logger = MMLogger.get_instance('first', log_file=str(tmp_path / 'first.log'))
    MessageHub.get_instance('first').update_info('best_score', 1.0)
    visualizer = RetrievalVisualizer.get_instance('first')
    DefaultScope.get_instance('first', scope_name='mmpretrain')
    file = next(handler for handler in logger.handlers if hasattr(handler, 'baseFilename'))
    setup_env.reset_mmengine_state()
    assert file.stream is None or file.stream.closed
    assert DefaultScope.get_current_instance() is None
    assert 'best_score' not in MessageHub.get_instance('first').runtime_info
    assert MMLogger.get_instance('first') is not logger
    assert RetrievalVisualizer.get_instance('first') is not visualizer
    setup_env.reset_mmengine_state()
