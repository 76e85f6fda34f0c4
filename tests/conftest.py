"""Shared test settings: the package first (its torchvision hook), one thread, no network."""

import fcntl
import gc
import multiprocessing
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault('HF_HUB_OFFLINE', '1')
os.environ.setdefault('OMP_NUM_THREADS', '1')  # of the processes that tests start, too

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


@pytest.fixture(scope='session', autouse=True)
def _faster_runs() -> None:
    from tests.sparing import spare_runs

    spare_runs()


@pytest.fixture(scope='session')
def sample_dir(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with a small converted sample world in ``data/sample``: its own for each worker."""
    own = tmp_path_factory.getbasetemp()
    # The folders of all workers lie in one; what one of them has made, the others copy.
    shared = own if worker_id == 'master' else own.parent
    folder = own / 'sample_world'
    with open(shared / 'sample.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / 'sample_made').exists():
            make_small_sample(shared / 'sample' / 'data' / 'sample')
            (shared / 'sample_made').touch()
    shutil.copytree(shared / 'sample', folder)
    return folder


def make_small_sample(root: Path) -> None:
    """Drawn, converted, and one country of it curated."""
    from tests.runs import ROOT
    from urbancross_mm.apis import load_config
    from urbancross_mm.curation.run import run_curation
    from urbancross_mm.toy.convert import convert_sample
    from urbancross_mm.toy.world import make_sample

    make_sample(root, images=40, seed=0, image_size=64, workers=0)
    convert_sample(root)
    run_curation(
        load_config(ROOT / 'configs/curation/no-weights.py'),
        root / 'urbancross/Finland/images',
        root / 'mycountry',
        show=lambda text: None,
    )


@pytest.fixture
def in_sample_dir(sample_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where ``--sample`` finds its data."""
    monkeypatch.chdir(sample_dir)
    return sample_dir


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers of a matrix are processes, without the imports of each."""
    from tests.ranks import processes
    from urbancross_mm.experiments import pool

    quick = SimpleNamespace(**{**vars(multiprocessing), 'get_context': lambda kind: processes()})
    monkeypatch.setattr(pool, 'multiprocessing', quick)
