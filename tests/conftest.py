"""Shared test settings: the package first (its torchvision hook), one thread, no network."""

import contextlib
import gc
import importlib
import os
import pickle
import time
from pathlib import Path
from types import ModuleType

os.environ.setdefault('HF_HUB_OFFLINE', '1')

import urbancross_mm  # noqa: F401, I001  installs the torchvision hook before anything imports it
import pytest
import torch


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def pytest_configure() -> None:
    """Two xdist workers share two cores, so one thread each."""
    torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    """What was imported stays: no need to look through it whenever a dataset collects garbage."""
    gc.freeze()


def import_formatter() -> ModuleType:
    """yapf caches its grammar at its first import; another worker may read half of that file."""
    for _ in range(50):
        with contextlib.suppress(EOFError, pickle.UnpicklingError):
            return importlib.import_module('yapf.yapflib.yapf_api')
        time.sleep(0.2)
    return importlib.import_module('yapf.yapflib.yapf_api')


def format_a_config_once() -> None:
    """mmengine formats the same config seven times a run, which takes longer than the run."""
    yapf_api = import_formatter()
    formatted, format_code = {}, yapf_api.FormatCode

    def once(text: str, **kwargs: object) -> tuple[str, bool]:
        if text not in formatted:
            formatted[text] = format_code(text, **kwargs)
        return formatted[text]

    yapf_api.FormatCode = once


@pytest.fixture(scope='session', autouse=True)
def _faster_configs() -> None:
    format_a_config_once()


@pytest.fixture(scope='session')
def sample_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small converted sample world in ``data/sample``, one for all workers."""
    from tests.runs import ROOT
    from urbancross_mm.apis import load_config
    from urbancross_mm.curation.run import run_curation
    from urbancross_mm.toy.convert import convert_sample
    from urbancross_mm.toy.world import make_sample

    folder = tmp_path_factory.getbasetemp() / 'sample_world'
    root = folder / 'data' / 'sample'
    make_sample(root, images=40, seed=0, image_size=64)
    convert_sample(root)
    run_curation(
        load_config(ROOT / 'configs/curation/no-weights.py'),
        root / 'urbancross/Finland/images',
        root / 'mycountry',
        show=lambda text: None,
    )
    return folder


@pytest.fixture
def in_sample_dir(sample_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where ``--sample`` finds its data."""
    monkeypatch.chdir(sample_dir)
    return sample_dir
