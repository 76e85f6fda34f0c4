"""Process-wide settings: warnings about mixed installs, launchers without a GPU."""

import importlib.metadata
import warnings

import pytest

from urbancross_mm.utils import setup_env


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
    with pytest.raises(ValueError, match=f'--launcher {launcher} needs {variable} .*start with'):
        setup_env.init_cpu_distributed(launcher)
